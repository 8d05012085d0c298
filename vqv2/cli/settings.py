"""Changing a configuration: fields by name, on the command line or in a TOML file."""

import dataclasses
import typing

from vqv2.config import AutoencoderConfig, PriorConfig, nearest, replace
from vqv2.errors import InputError
from vqv2.files import read_toml, shown


def read_settings(path):
    """(preset or None, {"conditional", "autoencoder.FIELD", "LEVEL.FIELD": value}) of a TOML file.

        preset = "imagenet256"
        [autoencoder]
        batch = 32
        [prior.top]
        dropout = 0.2

    Raises `InputError` for what cannot be read, names that do not exist, and values of the wrong
    type. Whether there are such levels is for `changed` to say.
    """
    content = _parse(path)
    _check_names(path, "", content, ("preset", "conditional", "autoencoder", "prior"))
    settings = {}
    parts = {"autoencoder": content.pop("autoencoder", {}), **content.pop("prior", {})}
    for part, fields in parts.items():
        kind = AutoencoderConfig if part == "autoencoder" else PriorConfig
        table = part if part == "autoencoder" else f"prior.{part}"
        if not isinstance(fields, dict):
            raise InputError(f"{path}: {table} must be a table: write [{table}] above its fields")
        _check_fields(path, table, fields, kind)
        settings.update({f"{part}.{name}": value for name, value in fields.items()})
    name = content.pop("preset", None)
    if not isinstance(name, str | None):
        raise InputError(f"{path}: preset is {shown(name)}: give its name in quotes")
    return name, {**content, **settings}


def _parse(path):
    content = read_toml(path, "`vqv2 config show demo` prints a TOML file to begin with")
    if not isinstance(content.get("prior", {}), dict):
        raise InputError(f"{path}: write [prior.top] for the top prior, and so on")
    return content


def _check_names(path, table, given, names):
    for name in given:
        if name not in names:
            where = f" in [{table}]" if table else ""
            raise InputError(
                f"{path}: there is no {shown(name)}{where}{nearest(name, names)}; there are "
                f"{', '.join(names)}"
            )


def _check_fields(path, table, fields, kind):
    types = typing.get_type_hints(kind)
    _check_names(path, table, fields, [field.name for field in dataclasses.fields(kind)])
    for name, value in fields.items():
        # On the command line everything is text; in a file text is text.
        if isinstance(value, str) and types[name] is not str:
            raise InputError(
                f"{path}: {name} = {shown(value)} in [{table}] is text: leave the quotes out"
            )


def changed(config, settings, part="autoencoder"):
    """A `Config` with {"FIELD" or "PART.FIELD": value} changed; FIELD alone is `part`'s.

    PART is "autoencoder" or the name of a level. Raises `InputError`, naming the nearest field.
    """
    own = {name: settings[name] for name in ("conditional",) if name in settings}
    parts = {}
    for name, value in settings.items():
        if name not in own:
            belongs, _, field = name.rpartition(".")
            parts.setdefault(belongs.removeprefix("prior.") or part, {})[field] = value
    config = config.with_autoencoder(replace(config.autoencoder, parts.pop("autoencoder", {})))
    names = ("autoencoder", *config.levels)
    for level, fields in parts.items():
        if level not in config.levels:
            raise InputError(
                f"there is no part {level!r}{nearest(level, names)}: the parts of this "
                f"configuration are {', '.join(names)}"
            )
        config = config.with_prior(level, replace(config.prior(level), fields))
    return replace(config, own)
