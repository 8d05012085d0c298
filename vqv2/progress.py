"""Progress bars: live on a terminal, a line now and then in a log file."""

import sys

from tqdm import tqdm

from vqv2.terminal import beneath, printable

SECONDS_BETWEEN_LINES = 30  # where every refresh is a new line


def progress_bar(total, description, unit, shown=True, initial=0, delay=0):
    """A tqdm bar on standard error; a context manager with `update` and `set_postfix`.

    It is not seen before `delay` seconds: for what is usually done at once. Nor is it where the
    variable TQDM_DISABLE is set.
    """
    hidden = {} if shown else {"disable": True}
    return tqdm(
        total=total,
        desc=printable(description),
        file=beneath(sys.stderr),
        unit=unit,
        initial=initial,
        delay=delay,
        mininterval=0.2 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES,
        **hidden,
    )
