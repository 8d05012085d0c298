"""`vqv2 config show`: a configuration with the source of every field, as a TOML file."""

import dataclasses
import json

from vqv2.cli.arguments import add_command, add_settings, parse_settings
from vqv2.cli.settings import changed, read_settings
from vqv2.presets import PRESETS, preset

# In which table a paper's preset finds its priors. Fields name Table 1, where their defaults are.
TABLES = {"imagenet256": "Table 1", "ffhq1024": "Table 2"}


def add_parser(subparsers):
    """Add `config` with `show`."""
    parser = subparsers.add_parser("config", help="show every field of a preset, and its source")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = add_command(
        actions,
        "show",
        "print a preset with the source of every field: Table 1, 2 or 3, a section, or 'here'",
        (
            "vqv2 config show imagenet256",
            "vqv2 config show ffhq1024 --set autoencoder.batch=16 --set top.dropout=0.4",
            "vqv2 config show demo > mine.toml    # to change, and to give to --config",
        ),
        _show,
    )
    show.add_argument("preset", metavar="PRESET", help=f"one of {', '.join(PRESETS)}")
    show.add_argument("--config", metavar="FILE.toml", help="fields to change")
    add_settings(show, "PART is autoencoder or a level; may be repeated", "PART.FIELD=VALUE")


def _show(arguments):
    config = preset(arguments.preset)
    _, settings = read_settings(arguments.config) if arguments.config else (None, {})
    settings.update(parse_settings(arguments.settings))
    print("\n".join(_lines(config, changed(config, settings))))


def _lines(original, config):
    """TOML of `config`, a changed copy of the preset `original`."""
    paper = original.name in TABLES
    yield f"# {'The paper' if paper else 'Not the paper'}'s; what a field can be: vqv2/config.py"
    yield f'preset = "{original.name}"'
    yield from _fields(original, config, ("conditional",), paper and "")
    yield "\n[autoencoder]"
    yield from _fields(original.autoencoder, config.autoencoder, None, paper and "Table 3")
    for level, prior in zip(config.levels, config.priors, strict=True):
        former = original.prior(level) if level in original.levels else original.priors[-1]
        yield f"\n[prior.{level}]"
        table = TABLES.get(original.name, False)
        yield from _fields(former, prior, None, table, _unused(config, level))


def _fields(original, config, names, table, unused=()):
    chosen = [f for f in dataclasses.fields(config) if names is None or f.name in names]
    texts = {field.name: f"{field.name} = {_toml(getattr(config, field.name))}" for field in chosen}
    width = max(map(len, texts.values()))
    for field in chosen:
        if getattr(config, field.name) != getattr(original, field.name):
            source = f"given; the preset has {_toml(getattr(original, field.name))}"
        elif field.name in unused:
            source = unused[field.name]
        else:
            source = _source(field, table)
        yield f"{texts[field.name]:{width}}  # {source}"


def _source(field, table):
    source = field.metadata["source"]
    if source.startswith("here"):
        return source
    return source.replace("Table 1", table or "") if table else f"here, for {source}"


def _unused(config, level):
    """{field: why} of what the prior of `level` does not use: '-' in the tables."""
    prior, unused = config.prior(level), {}
    if not prior.attention_layers:
        names = ("attention_every", "attention_heads", "attention_dropout")
        unused |= dict.fromkeys(names, "unused: no attention")
    if level == config.levels[0]:
        names = ("conditioning_blocks", "conditioning_units")
        unused |= dict.fromkeys(names, "unused: no coarser level")
    return unused


def _toml(value):
    if isinstance(value, tuple):
        return str(list(value))
    return json.dumps(value)
