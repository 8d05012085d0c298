"""Checksums that say whether files, and what describes them, are as they were written."""

import hashlib
import json

from vqv2.files.opening import reading

_BLOCK = 10**6  # bytes


def seal(manifest):
    """SHA-256 (hexadecimal) of a manifest without its checksum."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_checksum(path, remedy, block_read=lambda: None):
    """SHA-256 (hexadecimal) of a file's contents; `block_read()` is called for every megabyte.

    Raises as `vqv2.files.reading` does.
    """
    digest = hashlib.sha256()
    with reading(path, remedy) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            block_read()
    return digest.hexdigest()
