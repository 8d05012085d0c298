"""What a kernel launch moves and computes, from its arguments: for the device of shapes only.

By itself a kernel reads the arrays that it declares const and writes the others, once each. The
tables say where that is not so.
"""

import math
from typing import NamedTuple


class Launch(NamedTuple):
    """One thing that a device was asked to do."""

    family: str
    name: str
    read: float  # bytes
    written: float  # bytes
    operations: float = 0  # of products


FAMILIES = {  # of the project's kernels; those of sampling are the rest
    "adam": "Adam",
    "add_biased": "elementwise",
    "add_parts_of_columns": "sums over rows",
    "biased_elu": "elementwise",
    "biased_elu_gradient": "elementwise",
    "biased_relu": "elementwise",
    "biased_relu_gradient": "elementwise",
    "follow_moments": "batch norm",
    "gate_block": "elementwise",
    "gate_block_gradient": "elementwise",
    "halves_and_part_sums": "sums over rows",
    "join_moments": "sums over rows",
    "normalize": "batch norm",
    "normalize_input_gradient": "batch norm",
    "part_moments": "batch norm",
    "part_parameter_gradients": "batch norm",
    "part_sums": "sums over rows",
    "widen": "halves",
    "add_by_code": "codebook statistics",
    "add_parts": "codebook statistics",
    "attention": "attention",
    "attention_key_value_gradient": "attention",
    "attention_query_gradient": "attention",
    "cross_entropy": "cross-entropy",
    "cross_entropy_gradient": "cross-entropy",
    "dropout": "elementwise",
    "elu": "elementwise",
    "elu_gradient": "elementwise",
    "fold": "fold",
    "gate": "elementwise",
    "gate_gradient": "elementwise",
    "nearest_code": "nearest codes",
    "relu": "elementwise",
    "relu_gradient": "elementwise",
    "sigmoid": "elementwise",
    "to_halves": "halves",
    "unfold": "unfold",
    "unscale": "unscale",
}
TRANSFERS = "transfers"  # copies from and to the host: no launches of kernels

_CHANGED_IN_PLACE = {
    "adam": ("parameter", "mean", "square", "average"),
    "follow_moments": ("mean", "variance"),
    "unscale": ("gradient",),
}
_OPTIONAL = {  # {whether it is there: an array that otherwise stands for nothing}
    "elu_gradient": {"adds": "onto"},
    "gate_block": {"conditioned": "condition", "labelled": "label"},
    "normalize_input_gradient": {"adds": "onto"},
    "relu_gradient": {"adds": "onto"},
}
_TILE = 32  # positions in a tile of attention; those on the diagonal are computed whole


def unique_bytes(array):
    """Bytes of an array's different elements: what is broadcast counts once."""
    size = array.itemsize
    for length, stride in zip(array.shape, array.strides, strict=True):
        size *= length if stride else 1
    return size


def launch_of(name, declared, arguments):
    """The `Launch` of a kernel; `declared` {parameter: whether it is an array that is only read}.

    `arguments` are arrays of shapes only, and numbers.
    """
    given = dict(zip(declared, arguments, strict=True))
    arrays = {key: value for key, value in given.items() if hasattr(value, "strides")}
    for there, array in _OPTIONAL.get(name, {}).items():
        if not given[there]:
            del arrays[array]
    in_place = _CHANGED_IN_PLACE.get(name, ())
    read = sum(unique_bytes(a) for key, a in arrays.items() if declared[key] or key in in_place)
    written = sum(a.nbytes for key, a in arrays.items() if not declared[key])
    if name in _MOVED:
        read, written = _MOVED[name](given)
    operations = _OPERATIONS[name](given) if name in _OPERATIONS else 0
    return Launch(FAMILIES.get(name, "sampling"), name, read, written, operations)


def _unfold(given):
    """A block of lines of patches, from its share of the maps."""
    x = given["x"]
    image = math.prod(int(given[name]) for name in ("height", "width", "channels", "word_bytes"))
    images = x.nbytes / image
    share = given["lines"] / (given["rows"] * images)
    return share * x.nbytes, given["patches"].nbytes


def _fold(given):
    """A block of patches, added to the images that they lie in."""
    sizes = (int(given[name]) for name in ("images", "height", "width", "channels"))
    region = math.prod(sizes) * given["x"].itemsize
    return given["patches"].nbytes + int(given["add"]) * region, region


_MOVED = {"unfold": _unfold, "fold": _fold}


def _attention(products):
    """Operations over the lower half of all tiles; `products` counts numbers of a pair."""

    def count(given):
        length = int(given["length"])
        heads = given["queries"].size // (length * int(given["width"]))
        tiles = -(-length // _TILE)
        pairs = heads * tiles * (tiles + 1) // 2 * _TILE**2
        return 2 * pairs * products(int(given["width"]), int(given["width_out"]))

    return count


def _nearest_code(given):
    return 3 * int(given["total"]) * int(given["count"]) * int(given["dimensions"])


_OPERATIONS = {
    "attention": _attention(lambda d, e: d + e),
    "attention_query_gradient": _attention(lambda d, e: 2 * d + e),
    "attention_key_value_gradient": _attention(lambda d, e: 2 * d + 2 * e),
    "nearest_code": _nearest_code,
}
