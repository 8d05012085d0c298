"""Weights alone, for other programs: safetensors files under documented names.

vqv2       our own names (`Module.state`), for an autoencoder or the prior of a level; the
           configuration is in the file's metadata
pytorch    those of the widely used PyTorch port (`vqv2.lab.interchange.port`), for an autoencoder
"""

import dataclasses
import json

from vqv2.config import AutoencoderConfig, from_values, replace
from vqv2.errors import InputError
from vqv2.files import open_tensors, parse_json, write_tensors
from vqv2.lab.interchange.port import configuration, from_port, to_port
from vqv2.models.autoencoder import Autoencoder
from vqv2.nn.finite import check_arrays
from vqv2.training.start import OF_AUTOENCODER

FORMAT = "vqv2 weights 1"
NAMES = ("vqv2", "pytorch")
_REMEDY = (
    "give a safetensors file of float32 numbers; from a PyTorch file, "
    "safetensors.torch.save_file(torch.load(FILE), NEW_FILE) makes one"
)
_IN_THE_WEIGHTS = ("image_size", "latent_sizes", *OF_AUTOENCODER)


def read_autoencoder(path, image_size=256, settings=None):
    """The `Autoencoder` in a safetensors file under either names.

    `image_size`, in pixels, is what the port's weights do not tell. `settings` {field: value}
    change its configuration where that has nothing to do with the weights: batch, steps, ...
    Raises `InputError` when the file cannot be read, or naming an array that is missing, not
    expected, of another shape, or not finite.
    """
    arrays, metadata = _read(path)
    check_arrays(arrays, path)
    try:
        if metadata.get("format") == FORMAT:
            return _from_ours(arrays, metadata, settings or {})
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
        found = configuration(arrays, image_size)
        return from_port(arrays, _changed(found, settings or {}))
    except InputError as error:
        raise InputError(f"{path} cannot be imported: {error}") from None


def write_weights(path, model, names="vqv2", part="autoencoder"):
    """Write a model's weights to a safetensors file.

    `part` says what the model is, "autoencoder" or "prior-LEVEL". Raises `InputError` when the
    names have no place for it, or when the file cannot be written.
    """
    if names not in NAMES:
        raise InputError(f"there are no names {names!r}: choose {' or '.join(NAMES)}")
    if names == "vqv2":
        config = json.dumps(dataclasses.asdict(model.config))
        header = {"format": FORMAT, "part": part, "config": config}
        if part != "autoencoder":
            header["classes"] = str(model.classes)
        write_tensors(path, model.state(), header)
    elif part == "autoencoder":
        write_tensors(path, to_port(model), {"format": "pt"})
    else:
        raise InputError(f"the names pytorch are for an autoencoder, not for {part}")


def _read(path):
    """({name: array}, metadata) of any safetensors file."""
    with open_tensors(path, _REMEDY) as file:
        return {name: file.read(name) for name in file.entries}, file.metadata


def _from_ours(arrays, metadata, settings):
    if metadata.get("part") != "autoencoder":
        raise InputError(f"it holds a {metadata.get('part')}, not an autoencoder")
    try:
        fields = parse_json(metadata.get("config", ""))
    except ValueError as error:
        raise InputError(f"its configuration is damaged ({error}): export it again") from None
    config = from_values(AutoencoderConfig, fields)
    model = Autoencoder(_changed(config, settings), None)
    model.load_state(arrays, copy=False)
    return model


def _changed(config, settings):
    """The configuration with `settings`. Raises `InputError` where these contradict the weights."""
    changed = replace(config, settings)
    for field in _IN_THE_WEIGHTS:
        if getattr(changed, field) != getattr(config, field):
            raise InputError(f"its {field} is {getattr(config, field)}: it cannot be set otherwise")
    return changed
