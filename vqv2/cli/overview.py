"""What a command says of the images that it has found: splits, classes, what is left out."""

import numpy as np

from vqv2.data.unusable import by_kind
from vqv2.terminal import printable

SHOWN = 20  # classes, or files


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


def print_skipped(sources, known=frozenset()):
    """List the files that {split: ImageSource} left out, apart from those `known`; returns all."""
    # The splits of one folder have looked at the same files.
    everything = {entry for source in sources.values() for entry in source.skipped}
    list_skipped(sorted(everything - known))
    return everything


def list_skipped(skipped):
    """List [(path, reason)], of many only some, and how many there are of each kind of reason."""
    if not skipped:
        return
    print(f"{len(skipped)} files cannot be used and are left out:")
    for path, reason in skipped[:SHOWN]:
        print(printable(f"  {path}: {reason}"))
    if len(skipped) > SHOWN:
        print(f"  and {len(skipped) - SHOWN} more; of all of them:")
        for kind, of_kind in by_kind(skipped).items():
            print(printable(f"  {len(of_kind)}: {kind}"))
