"""Telling people what images a command has found: splits, classes, and what is odd."""

import numpy as np

from vqv2.terminal import printable

SHOWN = 20  # classes


def print_overview(sources):
    """Print the numbers of {split: ImageSource}, before anything is done with them."""
    for split, source in sources.items():
        print_split(split, len(source), source.labels, source.class_names)
    print_remarks([remark for source in sources.values() for remark in source.remarks])


def print_split(name, count, labels, class_names):
    """Print what there is in a split; `labels` are places in `class_names`, None without."""
    line = f"{name.replace('_', ' ')}: {count} images"
    if labels is None:
        print(printable(f"{line}, no classes"))
        return
    counts = np.bincount(labels, minlength=len(class_names)).tolist()
    listed = [f"{name} {count}" for name, count in zip(class_names, counts, strict=True)]
    more = [f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    print(printable(f"{line} of {len(listed)} classes: {', '.join(listed[:SHOWN] + more)}"))


def print_remarks(remarks):
    """Print each sentence once."""
    for remark in dict.fromkeys(remarks):
        print(printable(f"note: {remark}"))
