"""JSON, JSON lines and TOML, of bounded size and depth; and what an object in them has to be.

    MANIFEST = Table({"counts": Each(Whole(1, 2**40)), "class_names": Many(Text())})
    MANIFEST.check(content)  # ValueError: its 'counts'.'train' is -1, not a whole number ...

Numbers from JSON may be larger than any that NumPy or a division can take, so all have bounds.
"""

import dataclasses
import json
import math
import tomllib

from vqv2.errors import DamagedError
from vqv2.files.opening import content_of, reading, shortened, shown

LARGEST_FILE = 2**26  # bytes of a JSON file: the manifest of a store with 65536 classes has 2**21
LARGEST_TOML = 2**20
LONGEST_LINE = 2**16  # bytes of a line of a log
LONGEST_NUMBER = 400  # digits of a whole number: more than any that a float can be
LONGEST_TOML_LINE = 2000  # letters; the standard library's parser is quadratic in dots of a key
DEEPEST = 24  # levels of lists and objects
EXACT = 2**53  # up to here other programs read whole numbers exactly


def read_json(path, remedy, schema=None):
    """The JSON object in a file as a dictionary, in accordance with `schema` if there is one.

    Raises as `vqv2.files.reading` does.
    """
    content = content_of(path, remedy, LARGEST_FILE)
    with reading(path, remedy):
        return parse_json(content, schema)


def check_json(found, schema, path, remedy):
    """Raise `DamagedError` unless the object from the file at `path` accords with a schema.

    For a file that has turned out to be what it should be: only then the remedy may be to remove
    it.
    """
    with reading(path, remedy):
        schema.check(found)


def parse_json(content, schema=None):
    """The JSON object in text or bytes as a dictionary. Raises `ValueError` for anything else."""
    try:
        found = json.loads(content, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    _check_depth(found)
    if schema is not None:
        schema.check(found)
    return found


def json_lines(path, remedy):
    """Yield the JSON object of each line; lines that are none, or unfinished, are left out.

    Raises as `vqv2.files.reading` does, but for what the lines contain.
    """
    with reading(path, remedy) as file:
        while line := file.readline(LONGEST_LINE):
            if line.endswith(b"\n") and (found := _line(line)) is not None:
                yield found


def read_toml(path, remedy):
    """A TOML file as a dictionary. Raises as `vqv2.files.reading` does."""
    content = content_of(path, remedy, LARGEST_TOML)
    try:
        return _parse_toml(content.decode("utf-8-sig"))
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:  # TOML's or the encoding's
        reason = shortened(str(error))
    raise DamagedError(f"{path} is not a TOML file ({reason}): {remedy}")


def _parse_toml(text):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST_TOML_LINE:
            raise ValueError(f"line {number} has {len(line)} letters")
    found = tomllib.loads(text)
    _check_depth(found)
    return found


def _whole(digits):
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _line(text):
    try:
        return parse_json(text)
    except ValueError:
        return None


def _check_depth(value):
    """Raise `ValueError` for what is nested so deeply that nobody has written it to be read."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _inside(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


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
    most: int | None = EXACT

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
