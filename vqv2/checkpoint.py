"""Checkpoints: one safetensors file each, written atomically and sealed with a checksum."""

import hashlib
import json

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vqv2.errors import InputError
from vqv2.files import atomic_write

FORMAT = "vqv2 checkpoint 1"


def save(path, arrays, metadata):
    """Write {name: NumPy array} and JSON-able `metadata` to `path`.

    Either the whole file is there afterwards or the former one still is. Raises `InputError` when
    it cannot be written (no space, no permission).
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(metadata)
    header = {"format": FORMAT, "metadata": text, "checksum": _seal(arrays, text)}
    with atomic_write(path) as temporary:
        _save_file(arrays, temporary, header)


def _save_file(arrays, path, header):
    path.touch()
    mode = path.stat().st_mode  # as for any file; the library would let the owner only read it
    try:
        save_file(arrays, path, header)
    except SafetensorError as error:  # how the library reports a full disk
        raise OSError(str(error)) from error
    path.chmod(mode)


def load(path):
    """(arrays, metadata) of a file that `save` wrote.

    Raises `InputError` when there is none, when it cannot be read or is damaged, or when it is
    another kind of file.
    """
    try:
        open(path, "rb").close()  # says what the matter is; `safe_open` calls it all "not found"
        with safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(f"{path} is not a checkpoint of vqv2: choose another file")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}: train first") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} is damaged or not a safetensors file ({error}): restore it from a copy, or "
            "train again"
        ) from None
    text = header.get("metadata", "")
    if _seal(arrays, text) != header.get("checksum"):
        raise InputError(
            f"{path} is damaged, its contents do not match its checksum: restore it from a copy, "
            "or train again"
        )
    return arrays, json.loads(text)


def _seal(arrays, text):
    return hashlib.sha256(f"{checksum(arrays)} {text}".encode()).hexdigest()


def checksum(arrays):
    """SHA-256 (hexadecimal) over names, dtypes, shapes and contents of {name: array}."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def save_arrays(path, arrays, header):
    """Write {name: NumPy array} and `header` {text: text} for other programs, without a seal.

    Either the whole file is there afterwards or the former one still is. Raises `InputError`.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_write(path) as temporary:
        _save_file(arrays, temporary, header)
