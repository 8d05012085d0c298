"""Two folders of one run that should be equal to the bit: what differs."""

import json

import numpy as np

from vqv2.run import checkpoint
from vqv2.run.log import read_log

SPEED = "images_per_second"  # the only thing about a training that time decides


def differences(run, other):
    """Names of what differs between two run folders, apart from speed; [] when nothing does."""
    names = {path.relative_to(folder) for folder in (run, other) for path in _files(folder)}
    return sorted(str(name) for name in names if _content(run / name) != _content(other / name))


def _files(folder):
    return [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]


def _content(path):
    if not path.exists():
        return None
    if path.suffix == ".safetensors":  # its header has no fixed order
        arrays, metadata = checkpoint.load(path)
        described = {n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()}
        assert all(np.isfinite(array).all() for array in arrays.values())
        return described, metadata
    if path.name == "log.jsonl":
        return [
            json.dumps({name: value for name, value in line.items() if name != SPEED})
            for line in read_log(path)
        ]
    return path.read_bytes()
