"""JSON, JSON lines and TOML, of bounded size and depth."""

import json
import tomllib

from vqv2.errors import DamagedError
from vqv2.reading.file import content_of, reading, shortened

LARGEST = 2**26  # bytes of a JSON file: the manifest of a store with 65536 classes has 2**21
LARGEST_TOML = 2**20
LONGEST_LINE = 2**16  # bytes of a line of a log
LONGEST_NUMBER = 400  # digits of a whole number: more than any that a float can be
LONGEST_TOML_LINE = 2000  # letters; the standard library's parser is quadratic in dots of a key
DEEPEST = 24  # levels of lists and objects


def read_json(path, remedy, schema=None):
    """The JSON object in a file as a dictionary, in accordance with `schema` if there is one.

    Raises as `vqv2.reading.file.reading` does.
    """
    content = content_of(path, remedy, LARGEST)
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

    Raises as `vqv2.reading.file.reading` does, but for what the lines contain.
    """
    with reading(path, remedy) as file:
        while line := file.readline(LONGEST_LINE):
            if line.endswith(b"\n") and (found := _line(line)) is not None:
                yield found


def read_toml(path, remedy):
    """A TOML file as a dictionary. Raises as `vqv2.reading.file.reading` does."""
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
