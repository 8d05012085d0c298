"""Our side of the kernels: every family, forward and backward, at sizes of Tables 1 and 3.

The cases of the scale "device" have as many rows as fill a GPU.
"""

import dataclasses

import numpy as np

import vqv2.functional as F
from backends import array_module, kernels, shapes, to_device
from backends.reference.causal_conv import tap_count
from vqv2.autodiff import Tensor
from vqv2.errors import InputError
from vqv2.lab import counting
from vqv2.lab.bench.cases import SCALES
from vqv2.lab.bench.subject import Subject


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Sizes of a kernel case; those that a case does not have are 0."""

    images: int = 0
    size: int = 0  # rows and columns
    channels: int = 0
    channels_out: int = 0
    kernel: int = 0
    rows: int = 0  # vectors, positions or weights, where there is no map
    codes: int = 0


_HOST = {
    "conv 3x3": Shapes(4, 64, 128, 64, 3),
    "conv 4x4 stride 2": Shapes(4, 128, 64, 128, 4),
    "transposed conv 4x4 stride 2": Shapes(4, 64, 128, 64, 4),
    "conv 1x1": Shapes(4, 64, 64, 128, 1),
    "causal conv 5x5": Shapes(4, 32, 128, 512, 5),
    "causal attention": Shapes(16, 32, 32, 32),  # 2 images times 8 heads; 1024 positions
    "quantise": Shapes(rows=8192, channels=64, codes=512),
    "codebook statistics": Shapes(rows=8192, channels=64, codes=512),
    "gate": Shapes(4, 32, 1024),
    "elu": Shapes(4, 32, 512),
    "cross-entropy": Shapes(rows=4096, codes=512),
    "Adam and Polyak": Shapes(rows=2**24),
}
_DEVICE = {
    "conv 3x3": Shapes(128, 64, 128, 64, 3),
    "conv 4x4 stride 2": Shapes(128, 128, 64, 128, 4),
    "transposed conv 4x4 stride 2": Shapes(128, 64, 128, 64, 4),
    "conv 1x1": Shapes(128, 64, 64, 128, 1),
    "causal conv 5x5": Shapes(32, 32, 512, 2048, 5),
    "causal attention": Shapes(512, 32, 32, 32),  # 64 images times 8 heads
    "quantise": Shapes(rows=2**19, channels=64, codes=512),
    "codebook statistics": Shapes(rows=2**19, channels=64, codes=512),
    "gate": Shapes(64, 32, 1024),
    "elu": Shapes(64, 32, 2048),
    "cross-entropy": Shapes(rows=2**16, codes=512),
    "Adam and Polyak": Shapes(rows=2**27),
}
_TINY = {
    "conv 3x3": Shapes(1, 4, 3, 2, 3),
    "conv 4x4 stride 2": Shapes(1, 4, 3, 2, 4),
    "transposed conv 4x4 stride 2": Shapes(1, 4, 3, 2, 4),
    "conv 1x1": Shapes(1, 4, 3, 2, 1),
    "causal conv 5x5": Shapes(1, 4, 3, 2, 5),
    "causal attention": Shapes(2, 4, 3, 3),
    "quantise": Shapes(rows=10, channels=3, codes=4),
    "codebook statistics": Shapes(rows=10, channels=3, codes=4),
    "gate": Shapes(1, 4, 6),
    "elu": Shapes(1, 4, 3),
    "cross-entropy": Shapes(rows=6, codes=4),
    "Adam and Polyak": Shapes(rows=64),
}
CASES = dict(zip(SCALES, (_TINY, _HOST, _DEVICE), strict=True))
FORWARD_ONLY = ("quantise", "codebook statistics", "Adam and Polyak")


def names():
    """All subjects, in order: "conv 3x3 forward", "conv 3x3 backward", ..., "quantise", ..."""
    for name in _HOST:
        if name in FORWARD_ONLY:
            yield name
        else:
            yield f"{name} forward"
            yield f"{name} backward"


def parse(name, scale):
    """ "conv 3x3 backward" -> ("conv 3x3", `Shapes`, "backward"); no direction -> "forward".

    Raises `InputError` for an unknown case.
    """
    case, _, direction = name.rpartition(" ")
    if direction not in ("forward", "backward"):
        case, direction = name, "forward"
    if case not in CASES[scale]:
        raise InputError(f"there is no kernel case {name!r}; there are {', '.join(names())}")
    return case, CASES[scale][case], direction


def arrays(case, sizes, seed=0):
    """The inputs of a case, in our layouts; the same numbers for every side."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    s = sizes
    x = (s.images, s.size, s.size, s.channels)
    if case.startswith(("conv", "transposed")):
        transposed = case.startswith("transposed")
        channels = (s.channels_out, s.channels) if transposed else (s.channels, s.channels_out)
        return normal(*x), normal(s.kernel, s.kernel, *channels), normal(s.channels_out)
    if case.startswith("causal conv"):
        weight = normal(tap_count(s.kernel, True), s.channels, s.channels_out)
        return normal(*x), weight, normal(s.channels_out)
    if case == "causal attention":
        flat = (s.images, s.size**2)
        queries, keys = (normal(*flat, s.channels) for _ in range(2))
        return queries, keys, normal(*flat, s.channels_out)
    if case in ("quantise", "codebook statistics"):
        codes = rng.integers(0, s.codes, s.rows)
        return normal(s.rows, s.channels), normal(s.codes, s.channels), codes
    if case == "cross-entropy":
        return normal(s.rows, s.codes), rng.integers(0, s.codes, s.rows)
    if case == "Adam and Polyak":
        return normal(s.rows), normal(s.rows)
    return (normal(*x),)


def prepare(name):
    """Compile or load the kernels at a tiny size: that is no part of a subject's memory."""
    build(name, "tiny").run()


def build(name, scale="host"):
    """The subject `name`, one of `names()`, in one of `SCALES`."""
    case, sizes, direction = parse(name, scale)
    inputs = arrays(case, sizes)
    flops = counting.operations(
        lambda: _computation(case, [shapes.new(a.shape, a.dtype) for a in inputs], direction)[0]
    )
    run, traffic = _computation(case, [to_device(array) for array in inputs], direction)
    return Subject(run, flops, traffic)


def _computation(case, inputs, direction):
    """(function, bytes that it must read and write at least once)."""
    if case in FORWARD_ONLY:
        return _FORWARD_ONLY[case](*inputs)
    return _differentiable(operation(case), inputs, direction)


_OPERATIONS = {
    "conv 3x3": lambda x, w, b: F.conv2d(x, w, b, stride=1, padding=1),
    "conv 4x4 stride 2": lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
    "transposed conv 4x4 stride 2": lambda x, w, b: F.conv_transpose2d(
        x, w, b, stride=2, padding=1
    ),
    "conv 1x1": lambda x, w, b: F.linear(x, w[0, 0], b),
    "causal conv 5x5": lambda x, w, b: F.causal_conv2d(x, w, b, kernel_size=5),
    "causal attention": lambda q, k, v: F.causal_attention(q, k, v),
    "gate": F.gate,
    "elu": F.elu,
    "cross-entropy": F.cross_entropy,
}


def operation(case):
    """The function of tensors that a differentiable case computes."""
    return _OPERATIONS[case]


def _differentiable(operation, inputs, direction):
    """An operation, or its gradient from a fixed cotangent, again and again."""
    tensors = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    output = operation(*tensors)
    traffic = output.array.nbytes + sum(a.nbytes for a in inputs)
    if direction == "forward":
        return lambda: operation(*tensors), traffic
    cotangent = array_module(output.array).ones_like(output.array)
    gradient = output.node.gradient  # not `backward`: that frees what it saved

    def run():
        gradients = gradient(cotangent)
        for part in gradients if isinstance(gradients, tuple) else (gradients,):
            if callable(part):
                part()

    # Reads the inputs and the cotangent, writes a gradient for each input.
    return run, traffic + sum(a.nbytes for a in inputs)


def _quantise(vectors, codebook, codes):
    traffic = vectors.nbytes + codebook.nbytes + codes.nbytes
    return lambda: kernels.nearest_code(vectors, codebook), traffic


def _codebook_statistics(vectors, codebook, codes):
    count = len(codebook)
    traffic = vectors.nbytes + codebook.nbytes + codes.nbytes
    return lambda: kernels.codebook_statistics(vectors, codes, count), traffic


def _adam(parameter, gradient):
    mean, square = (array_module(parameter).zeros_like(parameter) for _ in range(2))
    average = parameter.copy()
    constants = (10, 2e-4, 0.9, 0.999, 1e-8, 0.9999)

    def run():
        kernels.adam_update(parameter, gradient, mean, square, average, *constants)

    # Reads five arrays, writes four.
    return run, 9 * parameter.nbytes


_FORWARD_ONLY = {
    "quantise": _quantise,
    "codebook statistics": _codebook_statistics,
    "Adam and Polyak": _adam,
}
