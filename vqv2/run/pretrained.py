"""Trained hierarchies that come with vqv2, and how a run is found: the only place that does it.

A run is named by its folder, or, where nothing is called so, by the name of one that comes with
vqv2: `locate`. Each is a compact run (`vqv2.run.compact`) in vqv2/pretrained/NAME, with a card:

card.md    a heading, which is what the list of them says; then the sections "Data and licence",
           "Configuration", "How it was trained" (with seed and commands), "Figures" and "What it
           cannot do"

Nothing is written there: the package may be installed where that is not permitted, belongs to
every program that uses it, and goes with the next version.
"""

import os
import warnings
from pathlib import Path

from vqv2.config import nearest
from vqv2.errors import InputError

FOLDER = Path(__file__).parents[1] / "pretrained"
CARD = "card.md"


def names():
    """Of the hierarchies that come with vqv2, sorted; there may be none."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def locate(run):
    """The folder (`Path`) of a run, given by its folder or by the name of one that comes with vqv2.

    A name is text; a `Path` is always a folder's. Whatever is called so in the working directory
    wins, which is said in a warning. What is neither is returned as it is, for who opens it to say
    so (`other_than`).
    """
    if not isinstance(run, str) or run not in names():
        return Path(run)
    shipped = FOLDER / run
    if not os.path.lexists(run):
        return shipped
    if Path(run).resolve() != shipped.resolve():
        warnings.warn(
            f"the folder {run} is taken, not the hierarchy of that name that comes with vqv2: give "
            "the command elsewhere, or rename that folder, to have the other",
            stacklevel=2,
        )
    return Path(run)


def name_of(folder):
    """The name of the hierarchy in a folder, where it comes with vqv2; None for all others."""
    place = Path(folder).resolve()
    return place.name if place.parent == FOLDER.resolve() else None


def called(folder):
    """What a user calls the run in a folder: its name, if it comes with vqv2, or the folder."""
    return name_of(folder) or str(folder)


def other_than(run):
    """What else to say of what is no run folder, and might have been meant as a name.

    Nothing for a path, and where no hierarchy comes with vqv2.
    """
    there = names()
    if not there or not isinstance(run, str) or Path(run).name != run:
        return ""
    return (
        f", and no hierarchy of that name comes with vqv2{nearest(run, there)} (there "
        f"{'is' if len(there) == 1 else 'are'} {', '.join(there)})"
    )


def check_own(folder):
    """Raise `InputError` for the folder of a run that comes with vqv2: nothing is written there."""
    if name := name_of(folder):
        raise InputError(
            f"{name} comes with vqv2, and nothing is written into it: begin a run of your own with "
            f"its weights, `vqv2 train autoencoder --from {name} --data DATA --out RUN`"
        )


def card(name):
    """The card of a hierarchy that comes with vqv2. Raises `InputError` for other names."""
    if name not in names():
        raise InputError(f"{name} is no name of a hierarchy{other_than(name) or _NONE}")
    return (FOLDER / name / CARD).read_text("utf-8")


_NONE = ": none comes with this version of vqv2"
