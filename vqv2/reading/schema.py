"""What a JSON object has to be, as data: its fields, their types and bounds.

    MANIFEST = Table({"counts": Each(Whole(1, 2**40)), "class_names": Many(Text())})
    MANIFEST.check(content)  # ValueError: its 'counts'.'train' is -1, not a whole number ...

Numbers from JSON may be larger than any that NumPy or a division can take, so all have bounds.
"""

import dataclasses
import math

from vqv2.reading.file import shown

LARGEST = 2**53  # up to here other programs read whole numbers exactly


class Kind:
    """A kind of values; `words` say which."""

    words = ""

    def check(self, value, name=""):
        """Raise `ValueError`, which says where in the object, for a value of another kind."""
        if not self.holds(value):
            where = f"its {name}" if name else "it"
            raise ValueError(f"{where} is {shown(value)}, not {self.words}")
        for inner, kind, place in self.parts(value):
            kind.check(inner, f"{name}.{place}" if name else place)

    def holds(self, value):
        """Whether the value is of this kind, its parts not looked at."""
        raise NotImplementedError

    def parts(self, value):
        """(part, its `Kind`, its name) of all that have to be checked."""
        return ()


@dataclasses.dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `least` to `most`; None: of any size."""

    least: int = 0
    most: int | None = LARGEST

    @property
    def words(self):
        """What it has to be."""
        end = "on" if self.most is None else f"to {self.most}"
        return f"a whole number from {self.least} {end}"

    def holds(self, value):
        """Whether it is one; true and false are none."""
        if type(value) is not int or value < self.least:
            return False
        return self.most is None or value <= self.most


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A number that a float can be; `finite`: neither infinite nor NaN."""

    finite: bool = True

    @property
    def words(self):
        """What it has to be."""
        return "a finite number" if self.finite else "a number"

    def holds(self, value):
        """Whether it is one; true and false are none."""
        if type(value) is int:
            return abs(value) < 2**1000
        return type(value) is float and (math.isfinite(value) or not self.finite)


class Truth(Kind):
    """True or false."""

    words = "true or false"

    def holds(self, value):
        """Whether it is one of them."""
        return isinstance(value, bool)


class Text(Kind):
    """Text."""

    words = "text"

    def holds(self, value):
        """Whether it is text."""
        return isinstance(value, str)


@dataclasses.dataclass(frozen=True)
class Maybe(Kind):
    """Of a kind, or null."""

    kind: Kind

    def check(self, value, name=""):
        """As its kind does; null is good."""
        if value is not None:
            self.kind.check(value, name)


@dataclasses.dataclass(frozen=True)
class Many(Kind):
    """A list whose elements are of a kind."""

    kind: Kind
    words = "a list"

    def holds(self, value):
        """Whether it is a list."""
        return isinstance(value, list)

    def parts(self, value):
        """Its elements."""
        return ((inner, self.kind, str(place)) for place, inner in enumerate(value))


@dataclasses.dataclass(frozen=True)
class Each(Kind):
    """An object of any names whose values are of a kind; None: of any."""

    kind: Kind | None = None
    words = "an object"

    def holds(self, value):
        """Whether it is an object."""
        return isinstance(value, dict)

    def parts(self, value):
        """Its values."""
        return ((inner, self.kind, shown(name)) for name, inner in value.items() if self.kind)


@dataclasses.dataclass(frozen=True)
class Table(Kind):
    """An object with the `fields` {name: kind}, perhaps those of `maybe`, and perhaps others.

    The others are of the kind `others`; None: of any.
    """

    fields: dict
    maybe: dict = dataclasses.field(default_factory=dict)
    others: Kind | None = None
    words = "an object"

    def check(self, value, name=""):
        """As any; a field that is missing is named."""
        super().check(value, name)
        for field in self.fields:
            if field not in value:
                raise ValueError(f"{f'its {name}' if name else 'it'} lacks {field!r}")

    def holds(self, value):
        """Whether it is an object."""
        return isinstance(value, dict)

    def parts(self, value):
        """The values of the fields that are there."""
        kinds = {**dict.fromkeys(value, self.others), **self.fields, **self.maybe}
        return ((value[n], kind, shown(n)) for n, kind in kinds.items() if kind and n in value)
