"""Drawing a row of codes: one position in each pass over the weights, or a window of them.

The noise of every position is drawn beforehand, so a code follows from the codes before it, and a
guess can be checked. Forecast the codes of a window, compute the logits of all its positions in one
pass as if the forecast were true, and draw: the first code is right whatever was forecast, and each
next one is right while the forecast before it is. Those are kept. The codes drawn behind a wrong
one are not in vain: they are the next pass's forecast (Jacobi's iteration of a fixed point). The
codes are those that plain sampling draws; only the number of passes depends on the forecasts, and
at small batches a pass takes as long as reading the weights.

The idea is exact for any forecast. This one costs no weights: a position that no pass has reached
yet gets what its own noise makes of the latest logits.
"""

import dataclasses

import numpy as np

from backends import array_module, kernels, to_host


class RowSampler:
    """Draws codes of N maps from a stepper, an `IncrementalPrior` or a `NaivePrior`, row by row.

    settings  `Settings`: temperature, top-k, top-p
    window    positions in a pass, at most; 1 is plain sampling

    All maps advance together: a position is kept where the forecast of all of them was right. A
    window ends at the end of its row.
    """

    def __init__(self, stepper, settings, window=1):
        self.stepper = stepper
        self.settings = dataclasses.astuple(settings)
        self.window = window
        self.latest = None  # logits (N, 1, K) that forecasts are made from

    def skip_to(self, row):
        """As `IncrementalPrior.skip_to`."""
        self.stepper.skip_to(row)

    def draw(self, codes, noise):
        """Fill the next row: codes (N, W), -1 where to draw, with Gumbel noise (N, W, K).

        Yields after each pass how many codes it fixed; together that is W.
        """
        given, width = codes.copy(), codes.shape[1]
        column = reached = 0
        while column < width:
            stop = min(column + self.window, width)
            self._forecast(codes, given, noise, slice(max(reached, column), stop - 1))
            logits = self.stepper.window_logits(codes[:, column : stop - 1])
            window = slice(column, stop)
            chosen = self._choose(logits, given[:, window], noise[:, window])
            fixed = 1 + _agreeing(codes[:, column : stop - 1], chosen[:, :-1])
            codes[:, window] = chosen
            self.stepper.append(chosen[:, :fixed])
            if column == 0:
                first = logits[:, :1]
            self.latest, column, reached = logits[:, -1:], column + fixed, stop
            yield fixed
        self.latest = first  # the next row begins below this one's beginning

    def _forecast(self, codes, given, noise, columns):
        if columns.start >= columns.stop:
            return
        xp, noise = array_module(codes), noise[:, columns]
        latest = xp.zeros_like(noise[:, :1]) if self.latest is None else self.latest
        codes[:, columns] = self._choose(
            xp.broadcast_to(latest, noise.shape), given[:, columns], noise
        )

    def _choose(self, logits, given, noise):
        """Codes (N, n): the given ones, and drawn ones where those are -1."""
        flat = (-1, logits.shape[-1])
        drawn = kernels.sample_codes(logits.reshape(flat), noise.reshape(flat), *self.settings)
        return array_module(given).where(given >= 0, given, drawn.reshape(given.shape))


def _agreeing(forecast, chosen):
    """How many of the first positions of (N, n) agree in all maps."""
    if not forecast.shape[1]:
        return 0  # plain sampling: nothing to wait for on a device
    agree = to_host((forecast == chosen).all(axis=0))
    return int(np.append(agree, False).argmin())
