"""What one page holds: an image's codes, what was kept beside it, and the way back."""

import dataclasses

import numpy as np

from vqv2.config import check_levels
from vqv2.errors import InputError
from vqv2.lab.play.drawing import begun

MOST_KEPT = 24
MOST_UNDONE = 100


@dataclasses.dataclass(frozen=True)
class Wish:
    """How codes are to be drawn.

    label     class name; None draws one of the learned classes
    seed      of everything that is left to chance
    settings  {level: `vqv2.sampling.Settings`}
    """

    label: str | None
    seed: int
    settings: dict


@dataclasses.dataclass(frozen=True)
class Kept:
    """An image that was put beside: its codes, and what they decode to, (H, W, C) in [0, 1]."""

    codes: dict
    image: np.ndarray


@dataclasses.dataclass(frozen=True)
class State:
    """What a step back restores; arrays in it are never written to.

    codes       {level: (size, size) int64}, -1 where none is decided
    kept        the `Kept` images beside it
    original    the image (H, W, C) in [0, 1] that was brought along, or None
    class_name  the class that codes were drawn for last, or None
    """

    codes: dict
    kept: tuple = ()
    original: np.ndarray | None = None
    class_name: str | None = None


class Session:
    """One image of a hierarchy that is drawn, edited, kept and compared; one step at a time.

    A rectangle is (top, left, bottom, right) in positions of a level's map, the last two excluded.
    Raises `InputError`, here and everywhere, with a sentence for what cannot be done.
    """

    def __init__(self, hierarchy):
        self.hierarchy = hierarchy
        self.state = State(self.nothing())
        self.drawing = None
        self.turn = 0
        self._past = []

    def nothing(self):
        """Maps without a code."""
        names, sizes = self.hierarchy.levels, self.hierarchy.config.autoencoder.latent_sizes
        return {level: np.full((size, size), -1) for level, size in zip(names, sizes, strict=True)}

    @property
    def codes(self):
        """{level: (size, size)}, -1 where no code is decided."""
        return self.state.codes

    @property
    def complete(self):
        """Whether all codes of all levels are decided."""
        return all(codes.min() >= 0 for codes in self.codes.values())

    def decoded(self, codes=None):
        """The image (H, W, C) of these or the session's codes.

        A code that is not decided enters as the average of its level.
        """
        maps = {level: array[None] for level, array in (codes or self.codes).items()}
        return self.hierarchy.autoencoder.decode(maps, undecided=True)[0]

    def take_turn(self, turn):
        """Whether request number `turn` is the latest so far: work that earlier ones began ends.

        They may come in another order than the page has sent them.
        """
        latest = turn > self.turn
        self.turn = max(turn, self.turn)
        return latest

    def draw_with(self, wish):
        """Go on with the drawing as wished, or begin one: its first position waits for `step`.

        One that was begun goes on with other settings; for another class or seed, or after an edit,
        a new one is begun, which keeps all codes that there are.
        """
        if not self._goes_on(wish):
            self.drawing = begun(self.hierarchy, self.codes, wish.label, wish.seed)
        return self.drawing

    def _goes_on(self, wish):
        """Whether the drawing is what is wished for, and not at its end."""
        drawing = self.drawing
        return (
            drawing is not None
            and drawing.place is not None
            and drawing.codes is self.codes
            and (drawing.label, drawing.seed) == (wish.label, wish.seed)
        )

    def step(self, settings):
        """Draw the code of the drawing's next position, or pass one that is kept."""
        drawing = self.drawing
        if drawing.draws and not drawing.drawn:
            self._remember()
        drawing.go_on(settings)
        if drawing.drawn:
            self.state = dataclasses.replace(
                self.state, codes=drawing.codes, class_name=drawing.class_name
            )

    def draw_to_the_end(self, wish):
        """Draw all that is missing; returns the codes."""
        drawing = self.draw_with(wish)
        while drawing.place:
            self.step(wish.settings)
        return self.codes

    def start_over(self):
        """No code is decided; what was kept stays."""
        self._change(codes=self.nothing(), original=None, class_name=None)

    def erase(self, level, rectangle, finer=False):
        """Take the codes of a rectangle back; with `finer` those of all finer levels under it."""
        place = self._place(level, rectangle)
        codes, size = dict(self.codes), len(self.codes[level])
        names = self.hierarchy.levels
        for name in names[names.index(level) :] if finer else (level,):
            codes[name] = codes[name].copy()
            factor = len(codes[name]) // size
            codes[name][_enlarged(place, factor)] = -1
        self._change(codes=codes)

    def put(self, level, rectangle, code):
        """Fill a rectangle with a code that was chosen by hand."""
        place = self._place(level, rectangle)
        count = self.hierarchy.config.autoencoder.codebook_size
        if not 0 <= code < count:
            raise InputError(f"there is no code {code}: they go from 0 to {count - 1}")
        codes = self.codes[level].copy()
        codes[place] = code
        self._change(codes={**self.codes, level: codes})

    def keep(self):
        """Put a copy beside."""
        self._check_room(1)
        self._change(kept=(*self.state.kept, self._kept(self.codes)))

    def drop(self, number):
        """Drop a kept image."""
        self._check_kept(number)
        kept = self.state.kept
        self._change(kept=kept[:number] + kept[number + 1 :])

    def take(self, number):
        """Go on with a kept image, which stays."""
        self._check_kept(number)
        self._change(codes=self.state.kept[number].codes, original=None, class_name=None)

    def exchange(self, number):
        """Exchange the top maps of this and of a kept image; each keeps its finer maps."""
        self._check_kept(number)
        top, kept = self.hierarchy.levels[0], list(self.state.kept)
        other = kept[number].codes
        kept[number] = self._kept({**other, top: self.codes[top]})
        self._change(codes={**self.codes, top: other[top]}, kept=tuple(kept))

    def open_image(self, image):
        """Go on with the codes of an image (H, W, C) in [0, 1]."""
        encoded = self.hierarchy.encode(image[None])
        codes = {level: maps[0].astype(np.int64) for level, maps in encoded.items()}
        self._change(codes=codes, original=image, class_name=None)

    def undo(self):
        """Go back to before the last edit, or the last drawing. Raises `InputError` at the end."""
        if not self._past:
            raise InputError("there is nothing to undo")
        self.state = self._past.pop()

    @property
    def can_undo(self):
        """Whether there is a way back."""
        return bool(self._past)

    def _remember(self):
        self._past = [*self._past[-MOST_UNDONE + 1 :], self.state]

    def _change(self, **changes):
        self._remember()
        self.state = dataclasses.replace(self.state, **changes)

    def variations(self, wish, count):
        """Keep `count` images that share the top map with this one.

        Yields after every position, and after every image: whether it was an image.

        Each is `Hierarchy.sample_codes` with the whole top map given, for the seeds after the
        wish's. Raises `InputError` unless the top map is whole.
        """
        top, *finer = self.hierarchy.levels
        if not finer:
            raise InputError("this hierarchy has one level: there is no finer map to draw again")
        if self.codes[top].min() < 0:
            raise InputError(f"the {top} map has gaps: draw it to the end first")
        self._check_room(count)
        given = {**self.nothing(), top: self.codes[top]}
        for seed in range(wish.seed + 1, wish.seed + 1 + count):
            drawing = begun(self.hierarchy, given, wish.label, seed)
            while drawing.place:
                drawing.go_on(wish.settings)
                yield False
            self._change(kept=(*self.state.kept, self._kept(drawing.codes)))
            yield True

    def _kept(self, codes):
        return Kept(codes, self.decoded(codes))

    def _place(self, level, rectangle):
        """The rectangle of a level's map as an index."""
        check_levels([level], self.hierarchy.levels)
        size, (top, left, bottom, right) = len(self.codes[level]), rectangle
        if not (0 <= top < bottom <= size and 0 <= left < right <= size):
            raise InputError(
                f"the rectangle {tuple(rectangle)} does not lie in the {level} map of "
                f"{size} x {size} positions"
            )
        return slice(top, bottom), slice(left, right)

    def _check_room(self, count):
        if len(self.state.kept) + count > MOST_KEPT:
            raise InputError(f"at most {MOST_KEPT} images are kept: drop some first")

    def _check_kept(self, number):
        if not 0 <= number < len(self.state.kept):
            raise InputError(f"there is no kept image {number}: {len(self.state.kept)} are kept")


def _enlarged(place, factor):
    """The slices of a map that is `factor` times as fine."""
    return tuple(slice(side.start * factor, side.stop * factor) for side in place)
