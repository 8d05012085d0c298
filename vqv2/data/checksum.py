"""Checksums that say whether files, and what describes them, are as they were written."""

import hashlib
import json

from vqv2.reading import reading


def seal(manifest):
    """SHA-256 (hexadecimal) of a manifest without its checksum."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_checksum(path, remedy):
    """SHA-256 (hexadecimal) of a file's contents. Raises as `vqv2.reading.file.reading` does."""
    digest = hashlib.sha256()
    with reading(path, remedy) as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()
