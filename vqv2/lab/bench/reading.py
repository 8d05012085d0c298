"""Rows as a table for people and as JSON for programs."""

import dataclasses
import json

import backends
from vqv2.files import atomic_write
from vqv2.lab.bench.machine import facts
from vqv2.terminal import format_table

_COLUMNS = ("what", "ours ms", "quartiles", "peer ms", "quartiles", "ratio", "GFLOP/s", "of limit")
_COLUMNS += ("of streaming", "peak MB", "peer's MB")


def table(rows):
    """The rows as aligned text: medians in ms, and the quartiles between which half of all lie."""
    return format_table(_COLUMNS, [_cells(row) for row in rows])


def costs(rows):
    """The rows by what one unit costs, which shows how the cost grows."""
    columns = ("what", "threads", "ours ms", "us per unit", "unit", "peer ms", "ratio")
    cells = [
        [
            row.name,
            row.threads,
            _milliseconds(row.ours_s),
            f"{row.ours_s / row.units * 1e6:.4g}",
            row.unit,
            _milliseconds(row.peer_s),
            _ratio(row.ratio),
        ]
        for row in rows
    ]
    return format_table(columns, cells)


def per_image(rows):
    """For each row that samples a map or all of an image: seconds for one, in a sentence."""
    return "\n".join(
        f"{row.name}: {row.ours_s / row.units:.4g} s per {row.unit}"
        for row in rows
        if row.unit in ("image", "map")
    )


def limits_line(limits, threads):
    """The limits of the machine, or of its device, in a sentence."""
    where = "the device" if backends.current() == "cupy" else f"this machine with {threads} threads"
    return (
        f"Limits of {where}, measured just now: matrix product "
        f"{limits.flops_per_s / 1e9:.0f} GFLOP/s, streaming {limits.bytes_per_s / 1e9:.1f} GB/s"
    )


def write_json(path, name, rows, limits, settings):
    """{"benchmark", "rows", "limits", "settings", "machine"} in a file."""
    content = {
        "benchmark": name,
        "rows": [dataclasses.asdict(row) for row in rows],
        "limits": dataclasses.asdict(limits),
        "settings": dataclasses.asdict(settings),
        "machine": facts(),
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _cells(row):
    return [
        row.name,
        _milliseconds(row.ours_s),
        _spread(row.ours),
        _milliseconds(row.peer_s),
        _spread(row.peer),
        _ratio(row.ratio),
        f"{row.flops / row.ours_s / 1e9:.1f}" if row.flops else "",
        _percent(row.product_share),
        _percent(row.streaming_share),
        _megabytes(row.peak_bytes),
        _megabytes(row.peer_peak_bytes),
    ]


def _ratio(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def _milliseconds(seconds):
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.4g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def _spread(spread):
    if spread is None:
        return ""
    lower, upper = map(_milliseconds, (spread.lower_quartile, spread.upper_quartile))
    return f"{lower}-{upper}"


def _percent(share):
    return "" if share is None else f"{share:.0%}"


def _megabytes(count):
    return "" if count is None else f"{count / 1e6:.0f}"
