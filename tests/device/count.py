"""What the paper's models ask of a device, counted on one that has shapes only.

    python -m tests.device.count                # prints the tables, in seconds
    python -m tests.device.count --record       # and writes the counts down as the budgets

Counted are the launches of a training step, and of sampling one more position; the bytes that each
family of kernels reads and writes; the operations of products; and the most memory that is in use,
and that CuPy's pool holds. The budgets are exact, so that what moves more bytes is seen where there
is no device (`test_budgets.py`).
"""

import argparse
import json
from pathlib import Path

from vqv2.lab import counting
from vqv2.lab.bench.cases import training_case
from vqv2.terminal import format_table

BUDGETS = Path(__file__).with_name("budgets.json")
MODELS = ("autoencoder", "prior", "conditioned prior")
PRECISIONS = ("bfloat16", "tf32", "float32")
SAMPLED = ((1, "float32"), (1, "bfloat16"), (64, "bfloat16"), (256, "float32"))


def count_step(name, precision, scale="device"):
    """The counts of a training step of a case."""
    return counts_of(counting.training_step(training_case(name, scale), precision))


def count_position(name, count, storage, scale="device"):
    """The counts of sampling one more position of `count` maps, in the middle of a map."""
    return counts_of(counting.sampling(training_case(name, scale, batch=count), storage).position)


def counts_of(counted):
    """`vqv2.lab.counting.Counts` as JSON has it."""
    return {
        "launches": counted.count,
        "operations": counted.operations,
        "bytes": counted.bytes,
        "live": counted.live,
        "pooled": counted.pooled,
    }


def count_all():
    """{what: counts} of the paper's models."""
    steps = {f"{n}, {p}": count_step(n, p) for n in MODELS for p in PRECISIONS}
    positions = {
        f"{name}, a position of {count}, {storage}": count_position(name, count, storage)
        for name in MODELS[1:]
        for count, storage in SAMPLED
    }
    return steps | positions


def table(counted):
    """The sums, as lines of text."""
    rows = [
        [
            what,
            counts["launches"],
            f"{counts['operations'] / 1e12:.3f}",
            f"{sum(counts['bytes'].values()) / 1e9:.2f}",
            f"{counts['live'] / 2**30:.1f}",
            f"{counts['pooled'] / 2**30:.1f}",
        ]
        for what, counts in counted.items()
    ]
    return format_table(("what", "launches", "TFLOP", "GB", "live GiB", "pooled GiB"), rows)


def families(name, counted):
    """The bytes of a model's training step by family of kernels, a column for each precision."""
    columns = [counted[f"{name}, {precision}"]["bytes"] for precision in PRECISIONS]
    rows = [
        [family, *(f"{column.get(family, 0) / 1e9:.1f}" for column in columns)]
        for family in sorted(set().union(*columns))
    ]
    return format_table((f"GB of {name}", *PRECISIONS), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help=f"write {BUDGETS.name}")
    recording = parser.parse_args().record
    counted = count_all()
    print(table(counted), *(families(name, counted) for name in MODELS), sep="\n\n")
    if recording:
        BUDGETS.write_text(json.dumps(counted, indent=1) + "\n")
