"""What a page can ask for: the fields of each request, and what it does to a session."""

from vqv2.errors import InputError
from vqv2.files.text import Each, Many, Maybe, Number, Table, Text, Truth, Whole
from vqv2.lab.play.session import MOST_KEPT, Wish
from vqv2.sampling import Settings

_SETTINGS = Table({"temperature": Number(), "top_k": Whole(0, 2**20), "top_p": Number()})
_WISH = Table({"label": Maybe(Text()), "seed": Whole(0, 2**52), "settings": Each(_SETTINGS)})
_PLACE = {"level": Text(), "rectangle": Many(Whole(0, 2**20))}
_NUMBER = {"number": Whole(0, MOST_KEPT)}
FIELDS = {
    "look": {},
    "start_over": {},
    "erase": {**_PLACE, "finer": Truth()},
    "put": {**_PLACE, "code": Whole(0, 2**20)},
    "keep": {},
    "drop": _NUMBER,
    "take": _NUMBER,
    "exchange": _NUMBER,
    "undo": {},
    "draw": {"wish": _WISH, "count": Maybe(Whole(0, 2**31)), "speed": Maybe(Whole(1, 1000))},
    "vary": {"wish": _WISH, "count": Whole(1, MOST_KEPT)},
    "inspect": {"label": Maybe(Text())},
}


def checked(action, request):
    """The request, an object, without fields that are not of the action. Raises `InputError`."""
    fields = FIELDS[action]
    try:
        Table(fields).check(request)
    except ValueError as error:
        raise InputError(f"{action!r} cannot be done as it was asked for: {error}") from None
    return {name: request[name] for name in fields}


def edit(session, action, request):
    """Do one of the actions that are done at once. Raises `InputError`."""
    arguments = dict(request)
    if "rectangle" in arguments:
        arguments["rectangle"] = _rectangle(arguments["rectangle"])
    if action != "look":
        getattr(session, action)(**arguments)


def wish_of(session, wish):
    """The `Wish` in a request. Raises `InputError` for settings that mean nothing."""
    levels, given = session.hierarchy.levels, wish["settings"]
    if set(given) != set(levels):
        raise InputError(f"settings are needed for each of the levels {', '.join(levels)}")
    settings = {level: Settings(**_known(given[level])).check() for level in levels}
    return Wish(wish["label"], wish["seed"], settings)


def _known(settings):
    return {name: settings[name] for name in ("temperature", "top_k", "top_p")}


def _rectangle(numbers):
    if len(numbers) != 4:
        raise InputError("a rectangle is four numbers: top, left, bottom, right")
    return tuple(numbers)
