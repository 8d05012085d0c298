"""The JSON lines of a day on a device as one readable text.

    python -m tests.device.summary FILE ...

A table for each section; then what only lines of two sections say together: how long the peer's
steps take by ours, and whether what was learned on the device is as good as on the processor: the
status is 1 when it is not.
"""

import json
import sys
from pathlib import Path

from vqv2.terminal import format_table

LEARNED = {"autoencoder": "reconstruction", "prior-top": "bits_per_code"}  # what must agree
LEARNED_TOLERANCE = 0.05  # rounding differs, and with it the codes that some outputs choose


DISAGREES = "no, it should"


def read(paths):
    """All lines, as dictionaries; an unfinished last one is left out."""
    lines = []
    for path in paths:
        for text in Path(path).read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                lines.append({"section": "?", "name": "unfinished line", "error": text[:80]})
    return lines


def summary(lines):
    """The whole text."""
    sections = list(dict.fromkeys(line["section"] for line in lines))
    parts = [_section(s, [line for line in lines if line["section"] == s]) for s in sections]
    return "\n\n".join(filter(None, [*parts, compared_steps(lines), compared_learning(lines)]))


def _section(section, lines):
    columns = list(dict.fromkeys(key for line in lines for key in line if key != "section"))
    rows = [[_cell(line.get(column)) for column in columns] for line in lines]
    return f"== {section}\n{format_table(columns, rows)}"


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    if isinstance(value, dict):
        return " ".join(f"{name}={_cell(number)}" for name, number in value.items())
    return str(value)


def compared_steps(lines):
    """Milliseconds of training steps, of both sides and their ratio."""
    times = {
        (line["section"], line["name"], line["precision"]): line["ms"]
        for line in lines
        if line["section"] in ("train", "peer", "peer_compiled") and "ms" in line
    }
    rows = []
    for (section, name, precision), ours in times.items():
        peers = [times.get((s, name, precision)) for s in ("peer", "peer_compiled")]
        if section == "train" and any(peers):
            ratios = [peer and peer / ours for peer in peers]
            rows.append([name, precision, *map(_cell, (ours, *peers, *ratios))])
    columns = ("step of", "precision", "ms", "PyTorch ms", "compiled ms", "ratio", "ratio")
    return f"== beside PyTorch\n{format_table(columns, rows)}" if rows else ""


def compared_learning(lines):
    """Held-out figures on the device beside those on the processor, and whether they agree."""
    found = {
        (line["on"], line["precision"]): line
        for line in lines
        if line["section"] == "learn" and "autoencoder" in line
    }
    expected = found.get(("processor", "float32"))
    rows = []
    for (on, precision), line in found.items():
        for stage, name in LEARNED.items() if expected and on != "processor" else ():
            value, other = line[stage][name], expected[stage][name]
            agrees = abs(value - other) <= LEARNED_TOLERANCE * abs(other)
            words = "yes" if agrees else DISAGREES
            rows.append([stage, name, precision, _cell(value), _cell(other), words])
    columns = ("stage", "held out", "precision", "device", "processor", "agrees")
    return f"== learned\n{format_table(columns, rows)}" if rows else ""


if __name__ == "__main__":
    text = summary(read(sys.argv[1:]))
    print(text)
    sys.exit(DISAGREES in text)
