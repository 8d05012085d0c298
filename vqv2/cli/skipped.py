"""Telling people which of their files were left out."""

from vqv2.data.reasons import by_kind
from vqv2.terminal import printable

SHOWN = 20


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
