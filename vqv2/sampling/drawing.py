"""Drawing the codes of maps row by row.

The work of a position is a hundred small kernels, and starting them one by one takes a device
longer than they do. As all arrays of an `IncrementalPrior` keep their places and the position is in
memory, a device records it once, as a CUDA graph; a processor makes the same calls each time.
"""

import dataclasses
from functools import partial

import numpy as np

from backends import array_module, kernels
from backends.cupy.engine.cuda_graph import Graph
from vqv2.sampling.incremental import IncrementalPrior


def row_sampler(stepper, settings, seeds):
    """What draws the maps of a fresh stepper, an `IncrementalPrior` or another, row by row.

    settings   `Settings`: temperature, top-k, top-p
    seeds      (N,), uint64, of the maps' noise
    """
    kind = GraphRowSampler if isinstance(stepper, IncrementalPrior) else RowSampler
    return kind(stepper, settings, seeds)


class RowSampler:
    """Draws with any stepper of `logits`, `append` and `position`, such as a `NaivePrior`."""

    def __init__(self, stepper, settings, seeds):
        self.stepper, self.seeds = stepper, seeds
        self.settings = dataclasses.astuple(settings)

    def draw(self, codes):
        """Fill the next row: codes (N, W), -1 where to draw.

        Yields after each position; the codes are there when it ends.
        """
        for column in range(codes.shape[1]):
            logits, given = self.stepper.logits(), codes[:, column]
            noise = self.seeds, self.stepper.position
            drawn = kernels.sample_codes(logits, *noise, *self.settings)
            codes[:, column] = array_module(codes).where(given < 0, drawn, given)
            self.stepper.append(codes[:, column])
            yield


class GraphRowSampler(RowSampler):
    """The same with an `IncrementalPrior`, whose positions a device launches as one graph each."""

    def __init__(self, stepper, settings, seeds):
        super().__init__(stepper, settings, seeds)
        xp, logits = array_module(stepper.codes), stepper.predicted
        room = [xp.empty(logits.shape, dtype) for dtype in (logits.dtype, logits.dtype, np.int32)]
        arrays = stepper.where, logits, seeds, stepper.codes
        choose = partial(kernels.sample_at, *arrays, *self.settings, *room)
        self._position = Graph([stepper.predict, choose, stepper.remember])

    def draw(self, codes):
        """As `RowSampler.draw`."""
        stepper = self.stepper
        stepper.start_row()
        own = stepper.codes[:, stepper.position : stepper.position + stepper.size]
        own[...] = codes
        for _ in range(stepper.size):
            self._position.run()
            stepper.position += 1
            yield
        codes[...] = own
