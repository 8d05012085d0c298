"""Damage to files, drawn from a generator: what disks, editors and enemies do to them."""

import copy
import json

HOSTILE = (
    None, True, False, 0, -1, 1, 0.5, 2.5, -1e308, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400,
    float("nan"), float("inf"), "", "x", "0", "\0", "\ud800", "\x1b[31m", "../../x", "/dev/zero",
    "y" * 100_000, [], [[]], {}, {"a": {}}, [None], [0] * 1000, {"": None},
)  # fmt: skip
DEEP = b"[" * 100_000


def damaged(content, rng, others=()):
    """(bytes that something has happened to, what it was); `others` are contents of other files."""
    kinds = [_flipped, _byte, _cut, _longer, _zeros, _swapped, _doubled]
    if others:
        kinds.append(lambda content, rng: (others[rng.integers(len(others))], "another file"))
    return kinds[rng.integers(len(kinds))](content, rng)


def forged(content, rng):
    """(JSON text or lines in which one value is another or is missing, what it was).

    `content` is bytes of JSON, or of JSON lines.
    """
    if rng.integers(40) == 0:
        return DEEP, "100 000 brackets"
    lines = content.decode().splitlines() if _is_lines(content) else [content.decode()]
    number = int(rng.integers(len(lines)))
    value, what = with_another_value(json.loads(lines[number]), rng)
    lines[number] = json.dumps(value)
    return "\n".join(lines).encode() + b"\n", what


def with_another_value(value, rng):
    """(a copy of a JSON value with a hostile one somewhere in it, where and which)."""
    places = list(_places(value))
    place = places[rng.integers(len(places))]
    value = copy.deepcopy(value)
    inner = value
    for name in place[:-1]:
        inner = inner[name]
    if rng.integers(6) == 0:
        del inner[place[-1]]
        return value, f"{place} is missing"
    hostile = HOSTILE[rng.integers(len(HOSTILE))]
    inner[place[-1]] = hostile
    return value, f"{place} is {repr(hostile)[:40] if hostile != 10**400 else '10**400'}"


def _is_lines(content):
    return content.count(b"\n{") > 0


def _places(value, place=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        yield (*place, name)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*place, name))


def _place(content, rng):
    """Any place; every second time one at the beginning, where headers are."""
    most = len(content) if rng.integers(2) else min(len(content), 200)
    return int(rng.integers(max(1, most)))


def _flipped(content, rng):
    place, bit = _place(content, rng), int(rng.integers(8))
    changed = bytearray(content or b"\0")
    changed[place] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {place} flipped"


def _byte(content, rng):
    place, byte = _place(content, rng), bytes([rng.choice(list(b"([{-9\"'\0\xff,: \n"))])
    return content[:place] + byte + content[place + 1 :], f"byte {place} is {byte}"


def _cut(content, rng):
    length = _place(content, rng)
    return content[:length], f"cut after {length} bytes"


def _longer(content, rng):
    count = int(rng.integers(1, 100))
    return content + rng.bytes(count), f"{count} bytes longer"


def _zeros(content, rng):
    place, count = _place(content, rng), int(rng.integers(1, 64))
    zeros = bytes(len(content[place : place + count]))
    return content[:place] + zeros + content[place + count :], f"{count} zeros at {place}"


def _swapped(content, rng):
    first, second = sorted((_place(content, rng), _place(content, rng)))
    count = min(int(rng.integers(1, 32)), second - first)
    one, other = content[first : first + count], content[second : second + count]
    changed = bytearray(content)
    changed[first : first + count], changed[second : second + count] = other, one
    return bytes(changed), f"{count} bytes at {first} and {second} swapped"


def _doubled(content, rng):
    place, count = _place(content, rng), int(rng.integers(1, 3000))
    again = content[place : place + count]
    return content[:place] + again + content[place:], f"{len(again)} bytes at {place} doubled"
