"""An image's maps drawn position by position, from the top level down (Algorithm 2)."""

import numpy as np

from vqv2.errors import InputError
from vqv2.lab.play.positions import MapInTheMaking
from vqv2.sampling import level_generator


class Drawing:
    """The codes of one image in the making, as `Hierarchy.sample_codes(1, label, seed)` draws them.

    hierarchy  the `Hierarchy`
    codes      {level: (size, size)} codes to keep, -1 where to draw
    label      class name or number; None draws one of the learned classes
    seed       of everything that is left to chance

    It ends where no code is missing any more, or at the first missing one of a level whose prior is
    not trained: `untrained` is that level. Raises `InputError` as `Hierarchy.labels` does.
    """

    def __init__(self, hierarchy, codes, label, seed):
        self.hierarchy = hierarchy
        self.codes = codes
        self.drawn = 0  # codes that were not kept
        self.label, self.seed = label, seed
        self.untrained = None
        self._class = hierarchy.labels(label, 1, np.random.default_rng(seed))
        self._levels = iter(hierarchy.levels)
        self._find_level()

    @property
    def class_name(self):
        """Name of the class that is drawn; None without classes."""
        return None if self._class is None else self.hierarchy.class_names[self._class[0]]

    @property
    def place(self):
        """(level, row, column) of the next position; None at the end."""
        return None if self._map is None else (self.level, *self._map.place)

    @property
    def draws(self):
        """Whether the code of the next position is to be drawn: there is one, and none is kept."""
        return self._map is not None and self._map.kept < 0

    def probabilities(self, settings):
        """Probabilities (K,) of the next position's codes; `settings` is {level: `Settings`}."""
        return self._map.probabilities(settings[self.level])

    def go_on(self, settings):
        """Fix the next position's code. If it is drawn, `codes` is another dictionary then."""
        draws = self.draws
        self._map.go_on(settings[self.level])
        if draws:
            self.drawn += 1
            self.codes = {**self.codes, self.level: self._map.codes.copy()}
        if self._map.finished:
            self._find_level()

    def _find_level(self):
        """Begin with the next level of which codes are missing."""
        self._map = None
        for level in self._levels:
            if self.codes[level].min() < 0:
                self._begin(level)
                return

    def _begin(self, level):
        if level not in self.hierarchy.priors:
            self.untrained = level
            return
        number = self.hierarchy.levels.index(level)
        self.level = level
        self._map = MapInTheMaking(
            self.hierarchy.priors[level],
            level_generator(self.seed, number),
            self._class,
            [self.codes[name][None] for name in self.hierarchy.levels[:number]],
            self.codes[level],
        )


def begun(hierarchy, codes, label, seed):
    """A `Drawing` of which something can be drawn, if codes are missing. Raises `InputError`."""
    drawing = Drawing(hierarchy, codes, label, seed)
    if drawing.untrained:
        raise InputError(
            f"codes of {drawing.untrained} cannot be drawn: its prior is not trained yet "
            f"(vqv2 train prior RUN --level {drawing.untrained})"
        )
    return drawing
