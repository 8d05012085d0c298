"""Shares of a device's published figures from what `tests/device/run.sh speed` has measured."""

import collections
import dataclasses
import json
import math
import re
from pathlib import Path

from backends import PRECISIONS
from vqv2.errors import InputError
from vqv2.lab.plan.roofline import ASSUMED

LEAST = 500  # of every size of a product that operations bind, and not bytes
# (a line's name, the family that it speaks for, which of its figures)
LINES = (
    ("copy", "copies", "GB/s"),
    ("unfold", "unfold", "GB/s"),
    ("unfold_halves", "unfold", "GB/s"),
    ("fold", "fold", "GB/s"),
    ("elu", "elementwise", "GB/s"),
    ("gate", "elementwise", "GB/s"),
    ("gate_block", "elementwise", "GB/s"),
    ("to_halves", "halves", "GB/s"),
    ("moments", "batch norm", "GB/s"),
    ("normalize", "batch norm", "GB/s"),
    ("normalize_parameter_gradient", "batch norm", "GB/s"),
    ("normalize_input_gradient", "batch norm", "GB/s"),
    ("add_bias", "elementwise, CuPy, broadcast", "GB/s"),
    ("sum_rows", "sums over rows", "GB/s"),
    ("codebook_statistics", "codebook statistics", "GB/s"),
    ("adam", "Adam", "GB/s"),
    ("attention, dropout 0.1", "attention", "TFLOP/s"),
    ("attention's gradients, dropout 0.1", "attention", "TFLOP/s"),
    ("nearest_code", "nearest codes", "TFLOP/s"),
    ("affine_at float32 1", "sampling", "GB/s"),
    ("affine_at float32 32", "sampling", "TFLOP/s"),
    ("affine_at bfloat16 1", "sampling, bfloat16", "GB/s"),
    ("affine_at bfloat16 32", "sampling, bfloat16", "TFLOP/s"),
)
_PRODUCT = re.compile(r"product (\d+) (\d+) (\d+)")
_UNITS = {"GB/s": ("bandwidth", 1e9), "TFLOP/s": ("speed", 1e12)}
_HALF = {"bfloat16": "half", "float16": "half"}


def shares(path, on):
    """`ASSUMED` with what lines of JSON in a file say of the `Device` that they were measured on.

    Of several lines for a family it is their work over their time. Raises `InputError` for a file
    that cannot be read, that says nothing of this, or whose figures are none.
    """
    work, taken = collections.Counter(), collections.Counter()
    for line in _lines(path):
        for family, unit in _spoken_for(line):
            milliseconds = _figure(line, "ms")
            work[family, unit] += _figure(line, unit) * milliseconds
            taken[family, unit] += milliseconds
    if not work:
        raise InputError(
            f"{path} has no figure of a kernel: give the speed.jsonl of tests/device/run.sh speed"
        )
    found = dict(ASSUMED)
    for family, unit in work:
        field, size = _UNITS[unit]
        published = on.bandwidth if field == "bandwidth" else on.speed(_precision(family))
        rate = size * work[family, unit] / taken[family, unit]
        found[family] = dataclasses.replace(
            found[family], **{field: rate / published}, source=f"measured: {Path(path).name}"
        )
    return found


def _lines(path):
    """What the file measures: lines with milliseconds."""
    try:
        texts = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--measured {path} cannot be read: {error}") from error
    for text in texts:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # the last one, where time ran out while it was written
        if isinstance(line, dict) and "ms" in line:
            yield line


def _spoken_for(line):
    """(family, unit) of what a line measures."""
    name = str(line.get("name"))
    product = _PRODUCT.fullmatch(name)
    if product and min(map(int, product.groups())) >= LEAST and "TFLOP/s" in line:
        precision = line.get("precision")
        if precision not in PRECISIONS:
            raise InputError(f"a measured product has no known precision: {json.dumps(line)}")
        yield f"products, {_HALF.get(precision, precision)}", "TFLOP/s"
    if name.startswith("affine_at "):
        name = " ".join(name.split()[:3])
    for known, family, unit in LINES:
        if name == known and unit in line:
            yield family, unit


def _figure(line, name):
    """A figure of a line: a number above zero, else `InputError`."""
    value = line[name]
    if isinstance(value, int | float) and 0 < value < math.inf:
        return value
    raise InputError(f"a measured {name!r} is not a number above zero: {json.dumps(line)}")


def _precision(family):
    """In whose published speed a family's share is counted."""
    name = family.partition("products, ")[2] or "float32"
    return "bfloat16" if name == "half" else name
