"""Incremental against naive sampling, position by position (section F)."""

import numpy as np

import backends
from vqv2.lab.evaluation.timing import incremental_times, naive_times
from vqv2.lab.report import Panel, Section, Table, save_curves

PICTURE = "timing.png"


def measure(subject):
    """Times of all positions (incremental) and some (naive) of every level, one image at a time."""
    hierarchy, repetitions = subject.hierarchy, subject.options.repetitions
    rng = np.random.default_rng(subject.options.seed)
    sizes = hierarchy.autoencoder.config.latent_sizes
    codes = [
        rng.integers(hierarchy.autoencoder.config.codebook_size, size=(1, s, s)) for s in sizes
    ]
    figures = {
        "backend": backends.current(),
        "device": backends.device_description() if backends.current() == "cupy" else "",
        "repetitions": repetitions,
        "levels": {},
    }
    for position, level in enumerate(hierarchy.levels):
        prior = hierarchy.priors[level]
        label = np.zeros(1, np.int64) if prior.classes else None
        inputs = (prior, codes[position], label, codes[:position])
        incremental_times(*inputs, repetitions=1)  # compiles what is not compiled yet
        naive_times(*inputs, positions=1, repetitions=1)
        figures["levels"][level] = {
            "incremental": _times(incremental_times(*inputs, repetitions=repetitions)),
            "naive": _times(naive_times(*inputs, repetitions=repetitions)),
        }
    save_curves(subject.folder / PICTURE, [_panel(*item) for item in figures["levels"].items()])
    return figures


def _times(times):
    """Medians, and the least and most of the repetitions, in milliseconds."""
    return {
        "positions": times.positions.tolist(),
        "median_ms": (1e3 * times.median).tolist(),
        "least_ms": (1e3 * times.seconds.min(axis=0)).tolist(),
        "most_ms": (1e3 * times.seconds.max(axis=0)).tolist(),
    }


def _panel(level, found):
    series = {kind: (times["positions"], times["median_ms"]) for kind, times in found.items()}
    title = f"One position of the {level} map"
    labels = ("position, in raster order", "milliseconds")
    return Panel(title, *labels, series, logarithmic=True, smoothed=False)


def sections(figures, folder):
    """Table and plot."""
    columns = [
        "level",
        "positions",
        "incremental: ms/position",
        "first quarter",
        "last quarter",
        "naive: ms/position",
        "whole map: incremental (s)",
        "naive (s)",
        "times faster",
    ]
    rows = [_row(level, **found) for level, found in figures["levels"].items()]
    where = figures["device"] or f"backend {figures['backend']}"
    caption = (
        f"Medians of {figures['repetitions']} repetitions, one image at a time, {where}; the naive "
        "sampler is timed at a few positions, and its whole map extrapolated"
    )
    return [
        Section(
            "Time to sample",
            "The naive sampler runs the whole network for every position. The incremental one "
            "keeps what earlier positions have computed: its work does not grow along the map, "
            "except in attention, which reads all earlier positions. The peaks are the starts of "
            "rows, where the share of the rows above is computed for a whole row.",
            Table(columns, rows, caption),
            ((folder / PICTURE, "Milliseconds for each position of a map"),),
        )
    ]


def _row(level, incremental, naive):
    times = np.array(incremental["median_ms"])
    each, naive_each = times.mean(), np.mean(naive["median_ms"])
    quarter = max(1, len(times) // 4)
    return [
        level,
        str(len(times)),
        f"{each:.3g}",
        f"{times[:quarter].mean():.3g}",
        f"{times[-quarter:].mean():.3g}",
        f"{naive_each:.3g}",
        f"{each * len(times) / 1e3:.3g}",
        f"{naive_each * len(times) / 1e3:.3g}",
        f"{naive_each / each:.1f}",
    ]
