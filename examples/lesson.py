"""What all lessons share: options, what is expected, and how a picture is drawn and saved.

A lesson runs as a script, `python examples/01_tensors_and_the_tape.py --quick`, or cell by cell in
an editor that knows `# %%` (VS Code, Spyder, PyCharm, Jupytext); there the options have their
defaults, and `options.quick = True` in a cell changes one.
"""

import argparse
import sys
from pathlib import Path

try:
    import matplotlib
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise SystemExit('the lessons draw with matplotlib: pip install -e ".[demo]"') from None

from vqv2.lab.report.curves import PALETTE, STYLE

__all__ = ["PALETTE", "Figure", "expect", "figure", "hide_ticks", "options", "save", "show"]

matplotlib.rcParams.update(STYLE)


def options(description, **settings):
    """The options of a lesson: `quick`, a bool, and `out`, the folder for pictures and models.

    `settings` are what its "Try" changes by `--name VALUE`: name=(default, lowest, highest) of a
    number, name=(default, others, ...) of a word, and name=(text,) of any text.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few steps: at most 90 seconds"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("lessons"), help="folder for pictures and trained models"
    )
    for name, (default, *others) in settings.items():
        if isinstance(default, str):
            how = {"choices": (default, *others)} if others else {}
        else:
            how = {"type": _between(type(default), *others)}
        parser.add_argument(f"--{name}", default=default, help="to try out", **how)
    chosen = parser.parse_args([] if _cell_by_cell() else None)
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {chosen.out}: {error.strerror}")
    return chosen


def _between(kind, lowest, highest):
    """What makes an int or a float of a text, and refuses a number outside of a range."""

    def read(text):
        value = kind(text)
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text} is not from {lowest} to {highest}")
        return value

    read.__name__ = kind.__name__  # for argparse, which says "invalid int value"
    return read


def _cell_by_cell():
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def expect(holds, words, otherwise=""):
    """Say that the lesson's point came out or, where a setting was changed, what came instead.

    `words` say the point; `otherwise` says why it may fail. Returns `holds`.
    """
    print(f"as expected: {words}" if holds else f"NOT SO: {words}. {otherwise}".rstrip())
    return bool(holds)


def figure(width, height, rows=1, columns=1, **grid):
    """(figure, axes) of `width` x `height` inches; `grid` as in matplotlib's `subplots`."""
    drawn = Figure((width, height), layout="constrained")
    return drawn, drawn.subplots(rows, columns, **grid)


def show(axes, image, title="", frame=False, **how):
    """Draw an image (H, W), (H, W, 1) or (H, W, 3) in square pixels, without ticks."""
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    axes.imshow(image, interpolation="nearest", **how)
    axes.set_title(title, fontsize=10)
    hide_ticks(axes, frame)


def hide_ticks(axes, frame=False):
    """No ticks or grid, for pictures and matrices; `frame` leaves a thin frame around them."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(frame)
    axes.spines[:].set(color="#888888", linewidth=0.6)


def save(drawn, options, name, caption):
    """Save a figure as NAME.png in the lesson's folder, say where, and return the figure.

    `caption` says what is to be seen. It is kept in the file, as its "Description".
    """
    path = options.out / f"{name}.png"
    drawn.savefig(path, dpi=110, metadata={"Description": caption})
    print(f"picture: {path}")
    return drawn
