"""What a kernel launch moves and computes, from its arguments.

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
    operations: float = 0  # additions and multiplications that the formula needs


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
    return Launch(_family(name), name, read, written, operations)


def _family(name):
    sampling = "sampling, bfloat16" if name.endswith("_bfloat16") else "sampling"
    return FAMILIES.get(name, sampling)


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


def _few_rows(given):
    """All weights, and rows of numbers at the places that are read and written."""
    rows, length, columns = _sizes_of_product(given)
    number = given["x"].itemsize
    return given["w"].nbytes + rows * (length + columns) * number, rows * columns * number


def _sizes_of_product(given):
    """(rows, length, columns) of a position's product; a gate has two columns for a channel."""
    columns = given["columns"] if "columns" in given else 2 * given["channels"]
    return int(given["rows"]), int(given["length"]), int(columns)


def _attend_at(given):
    """Keys and values of all earlier positions, half of all on average."""
    return given["past"].nbytes / 2, given["projected"].nbytes / 3


def _remember_at(given):
    """A key and a value for every image, and what the code adds to them."""
    size = len(given["codes"]) * given["table"].shape[1] * given["table"].itemsize
    return 2 * size, size


def _embed_at(given):
    """A vector for every image."""
    size = len(given["codes"]) * given["table"].shape[1] * given["table"].itemsize
    return size, size


def _sample_at(given):
    """Logits, and a seed for every image; a code for every image."""
    return given["logits"].nbytes + given["seeds"].nbytes, 8 * len(given["logits"])


_FEW_ROWS = [
    f"{name}{storage}" for name in ("affine_at", "affine_gate_at") for storage in ("", "_bfloat16")
]
_MOVED = {
    "unfold": _unfold,
    "fold": _fold,
    **dict.fromkeys(_FEW_ROWS, _few_rows),
    "attend_at": _attend_at,
    "embed_at": _embed_at,
    "remember_at": _remember_at,
    "sample_codes_at": _sample_at,
}


def _attention(given):
    """A product of queries and keys, or of weights and values, for every pair of positions.

    Its gradients are four such products, two in each kernel; what both compute again is not
    needed by the formula.
    """
    length, width = int(given["length"]), int(given["width"])
    heads = given["queries"].size // (length * width)
    pairs = heads * length * (length - 1) // 2  # position p sees p others
    return 2 * pairs * (width + int(given["width_out"]))


def _product(given):
    rows, length, columns = _sizes_of_product(given)
    return 2 * rows * length * columns


def _nearest_code(given):
    return 3 * int(given["total"]) * int(given["count"]) * int(given["dimensions"])


_OPERATIONS = {
    "attention": _attention,
    "attention_query_gradient": _attention,
    "attention_key_value_gradient": _attention,
    "nearest_code": _nearest_code,
    **dict.fromkeys(_FEW_ROWS, _product),
}
