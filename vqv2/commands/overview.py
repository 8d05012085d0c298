"""Telling people what images a command has found: splits, classes, and what is odd."""

import numpy as np

SHOWN = 20  # classes


def print_overview(sources):
    """Print the numbers of {split: ImageSource}, before anything is done with them."""
    for split, source in sources.items():
        print(split_line(split, len(source), source.labels, source.class_names))
    print_remarks([remark for source in sources.values() for remark in source.remarks])


def split_line(name, count, labels, class_names):
    """What there is in a split, in a line; `labels` are places in `class_names`, None without."""
    line = f"{name.replace('_', ' ')}: {count} images"
    if labels is None:
        return f"{line}, no classes"
    counts = np.bincount(labels, minlength=len(class_names)).tolist()
    listed = [f"{name} {count}" for name, count in zip(class_names, counts, strict=True)]
    more = [f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    return f"{line} of {len(listed)} classes: {', '.join(listed[:SHOWN] + more)}"


def print_remarks(remarks):
    """Print each sentence once."""
    for remark in dict.fromkeys(remarks):
        print(f"note: {remark}")
