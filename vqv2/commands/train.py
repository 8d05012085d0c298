"""`vqv2 train autoencoder` and `vqv2 train prior`: the two stages."""

import dataclasses

from vqv2 import pipeline
from vqv2.commands.arguments import (
    DATA_HELP,
    add_command,
    add_workers,
    check_seed,
    parse_settings,
)
from vqv2.commands.processes import after_the_first
from vqv2.commands.settings import changed, read_settings
from vqv2.commands.skipped import print_skipped
from vqv2.config import PRESETS, preset
from vqv2.data.images import absolute_data
from vqv2.errors import InputError
from vqv2.run import Run, is_run
from vqv2.training import Schedule
from vqv2.training.state import FREE


def add_parser(subparsers):
    """Add `train` with its two stages."""
    parser = subparsers.add_parser("train", help="train the autoencoder, or one level's prior")
    stages = parser.add_subparsers(title="stages", metavar="STAGE", required=True)
    _add_autoencoder(stages)
    _add_prior(stages)


def _add_autoencoder(stages):
    parser = add_command(
        stages,
        "autoencoder",
        "stage 1: train the hierarchical autoencoder on images",
        (
            "vqv2 train autoencoder --data emoji:64 --preset demo --out runs/emoji",
            "vqv2 train autoencoder --data photos/ --preset imagenet256 --out runs/photos \\",
            "     --batch 16 --set hidden_units=64 --set residual_units=32",
            "vqv2 train autoencoder --out runs/photos --resume",
        ),
        _train_autoencoder,
    )
    parser.add_argument("--data", help=DATA_HELP)
    add_workers(parser)
    parser.add_argument("--preset", help=f"one of {', '.join(PRESETS)} (default: demo)")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to fill")
    parser.set_defaults(shared=True)
    _add_common(parser)


def _add_prior(stages):
    parser = add_command(
        stages,
        "prior",
        "stage 2: train the prior of one level on extracted codes",
        (
            "vqv2 train prior runs/emoji --level top",
            "vqv2 train prior runs/emoji --level bottom --steps 5000 --set dropout=0.2",
            "vqv2 train prior runs/emoji --level top --resume --steps 20000",
        ),
        _train_prior,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with codes")
    parser.set_defaults(shared=True)
    parser.add_argument("--level", required=True, help="top, bottom, ...")
    _add_common(parser)


def _add_common(parser):
    parser.add_argument("--steps", type=int, metavar="N", help="train up to this step")
    parser.add_argument("--batch", type=int, metavar="N", help="images per step")
    parser.add_argument(
        "--accumulate", type=int, metavar="N", help="parts to compute a batch in, to save memory"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="default: 0")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the last checkpoint; where there is none, begin",
    )
    parser.add_argument(
        "--keep", type=int, metavar="N", help="checkpoints to keep, besides the best (2)"
    )
    parser.add_argument(
        "--save-every",
        type=float,
        dest="checkpoint_seconds",
        metavar="SECONDS",
        help="between checkpoints (600); also with each new lowest held-out loss, and at the end",
    )
    parser.add_argument("--log-every", type=int, metavar="N", help="steps between log lines (20)")
    parser.add_argument(
        "--validate-every", type=int, metavar="N", help="steps between held-out losses (500)"
    )
    parser.add_argument(
        "--check-finite",
        action="store_true",
        help="stop at the first operation that makes NaN or infinity, and name it: slow",
    )
    parser.add_argument(
        "--set",
        action="append",
        dest="settings",
        metavar="FIELD=VALUE",
        help="change a field of this stage, or PART.FIELD of the autoencoder or a level; may be "
        "repeated (`vqv2 config show PRESET` lists the fields)",
    )
    parser.add_argument("--config", metavar="FILE.toml", help="change the fields that it names")


def _settings(arguments):
    """(preset or None, {[PART.]field: value}) that the arguments give; --set has the last word."""
    name, settings = read_settings(arguments.config) if arguments.config else (None, {})
    settings.update(parse_settings(arguments.settings))
    for field in ("steps", "batch", "accumulate"):
        if getattr(arguments, field) is not None:
            settings[field] = getattr(arguments, field)
    return name, settings


def _check_continues(former, config):
    """Raise `InputError` when a training that goes on is given another configuration."""
    for field in dataclasses.fields(former):
        old, new = getattr(former, field.name), getattr(config, field.name)
        if field.name not in FREE and old != new:
            raise InputError(
                f"--resume continues with the run's own configuration, where {field.name} is "
                f"{old}, not {new}: only {', '.join(FREE)} may be changed"
            )


def _seed(arguments, begun):
    """The seed that a stage was begun with, or that is given."""
    seed = arguments.seed if arguments.seed is not None else begun.get("seed", 0)
    check_seed(seed)
    return seed


def _schedule(arguments, begun):
    """The `Schedule` that a stage was begun with, changed by what is given."""
    given = {name: getattr(arguments, name) for name in Schedule().lasting()}
    given = {name: value for name, value in given.items() if value is not None}
    given["check_finite"] = arguments.check_finite
    return Schedule(**{**begun.get("schedule", {}), **given}).check()


def _train_autoencoder(arguments):
    name, settings = _settings(arguments)
    going_on = arguments.resume and (is_run(arguments.out) or not arguments.data)
    run = (_resumed_run if going_on else _new_run)(arguments, name, settings)
    begun = run.begun("autoencoder") if going_on else {}
    seed, schedule = _seed(arguments, begun), _schedule(arguments, begun)
    pipeline.check_stage(run, "autoencoder", arguments.resume)
    sources = after_the_first(
        arguments.communicator,
        lambda: pipeline.open_splits(run.data, run.config.autoencoder, arguments.workers),
    )
    skipped = print_skipped(sources)
    run.class_names = sources["train"].class_names
    result = pipeline.train_autoencoder(
        run,
        sources,
        seed,
        arguments.resume,
        schedule,
        on_start=run.save,
        communicator=arguments.communicator,
    )
    print_skipped(sources, skipped)
    _print_result(result, run.stage_folder("autoencoder"))


def _new_run(arguments, name, settings):
    if not arguments.data:
        raise InputError("--data is missing: " + DATA_HELP)
    config = changed(preset(arguments.preset or name or "demo"), settings)
    return Run.new(arguments.out, config, (), absolute_data(arguments.data))


def _resumed_run(arguments, name, settings):
    run = Run.open(arguments.out)
    for given in (arguments.preset, name):
        if given not in (None, run.config.name):
            raise InputError(f"{run.folder} was made with --preset {run.config.name}: leave it out")
    run.data = absolute_data(arguments.data) if arguments.data else run.data
    config = changed(run.config, settings)
    _check_continues(run.config.autoencoder, config.autoencoder)
    run.config = run.config.with_autoencoder(config.autoencoder)
    return run


def _train_prior(arguments):
    _, settings = _settings(arguments)
    run = Run.open(arguments.run_folder)
    level, stage = arguments.level, f"prior-{arguments.level}"
    run.check_level(level)
    begun = run.begun(stage) if arguments.resume else {}
    prior = changed(run.config, settings, level).prior(level)
    if begun:
        _check_continues(run.config.prior(level), prior)
    run.config = run.config.with_prior(level, prior)
    seed, schedule = _seed(arguments, begun), _schedule(arguments, begun)
    pipeline.check_stage(run, stage, arguments.resume)
    result = pipeline.train_prior(
        run, level, seed, arguments.resume, schedule, communicator=arguments.communicator
    )
    _print_result(result, run.stage_folder(stage))


def _print_result(metrics, folder):
    if not metrics:
        print(f"{folder} has all its steps already: raise --steps to go on")
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    print(f"held out: {figures}\nsaved in {folder}")
