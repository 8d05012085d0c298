"""What CUDA kernels declare to take, read from their source text."""

import re
from typing import NamedTuple

import numpy as np

KERNEL = re.compile(
    r'extern "C" __global__ void\s+(?:__launch_bounds__\(.*?\)\s*)?(\w+)\s*\(([^)]*)\)', re.S
)
_TYPES = {
    "int": np.int32,
    "unsigned": np.uint32,
    "unsigned short": np.uint16,
    "long long": np.int64,
    "Word": np.uint64,
    "Any": None,  # whatever the format beside it says
}


class Parameter(NamedTuple):
    """What a kernel declares to take."""

    name: str
    dtype: type
    is_array: bool
    constant: bool  # the kernel only reads it


def declarations(code, real):
    """{kernel: its `Parameter`s} of a source text; `real` is what `Real` stands for."""
    return {
        name: [_parameter(text, real) for text in parameters.split(",")]
        for name, parameters in KERNEL.findall(code)
    }


def _parameter(text, real):
    kind, name = re.fullmatch(r"\s*(.*?)\s*(\w+)\s*", text, re.S).groups()
    constant = kind.startswith("const ")
    base = kind.removeprefix("const ").rstrip("*").strip()
    return Parameter(name, {**_TYPES, "Real": real}[base], kind.endswith("*"), constant)
