"""Which codes are used, and how evenly."""

import numpy as np

from vqv2.lab.report import Panel, Section, Table, save_curves
from vqv2.lab.report.sections.subject import SPLITS
from vqv2.models.quantizer import code_usage

PICTURE = "usage.png"


def measure(subject):
    """Perplexity, number of used codes, and how often each is used, by level and split."""
    store, size = subject.store, subject.run.config.autoencoder.codebook_size
    figures = {"codebook_size": size, "levels": {}}
    for level in store.levels:
        figures["levels"][level] = {
            split: _usage(store.codes(split, level), size) for split in SPLITS
        }
    save_curves(subject.folder / PICTURE, [_panel(*item) for item in figures["levels"].items()])
    return figures


def _usage(codes, size):
    perplexity, used = code_usage(codes, size)
    counts = np.bincount(np.asarray(codes).reshape(-1), minlength=size)
    return {"perplexity": perplexity, "used": used, "counts": counts.tolist()}


def _panel(level, found):
    """Codes from the most used in training to the least, and their share of all codes."""
    order = np.argsort(found["train"]["counts"])[::-1]
    series = {}
    for split, name in SPLITS.items():
        counts = np.array(found[split]["counts"])[order]
        series[name] = (np.arange(len(order)), 100 * counts / max(1, counts.sum()))
    title = f"Codes of the {level} level"
    return Panel(title, "code, by its use in training", "share of all codes (%)", series, bars=True)


def sections(figures, folder):
    """How many codes are used, and how often each of them."""
    size = figures["codebook_size"]
    rows = [
        [level]
        + [f"{found[split]['used']} of {size}" for split in SPLITS]
        + [f"{found[split]['perplexity']:.1f}" for split in SPLITS]
        for level, found in figures["levels"].items()
    ]
    columns = ["level"]
    columns += [f"codes used, {name}" for name in SPLITS.values()]
    columns += [f"perplexity, {name}" for name in SPLITS.values()]
    return [
        Section(
            "Codebooks",
            "Perplexity is how many codes, used equally often, would be as hard to guess.",
            Table(columns, rows, f"Codes of the images, out of {size}"),
            ((folder / PICTURE, "How often each code is used"),),
        )
    ]
