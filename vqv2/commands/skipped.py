"""Telling people which of their files were left out."""

SHOWN = 20


def print_skipped(sources, known=frozenset()):
    """List the files that {split: ImageSource} left out, apart from those `known`; returns all."""
    # The splits of one folder have looked at the same files.
    everything = {entry for source in sources.values() for entry in source.skipped}
    skipped = sorted(everything - known)
    if skipped:
        print(f"{len(skipped)} files cannot be used and are left out:")
        for path, reason in skipped[:SHOWN]:
            print(f"  {path}: {reason}")
        if len(skipped) > SHOWN:
            print(f"  and {len(skipped) - SHOWN} more")
    return everything
