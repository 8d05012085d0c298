"""What `vqv2 train` asks for whatever is trained: steps, batch, checkpoints, fields to change."""

import dataclasses

import backends
from vqv2.cli.arguments import add_settings, check_seed, parse_settings
from vqv2.cli.settings import read_settings
from vqv2.config import AUTO, PRECISION, replace
from vqv2.errors import InputError
from vqv2.optim import autoencoder_learning_rate
from vqv2.run.checkpoint import Checkpoints
from vqv2.run.rules import ADJUSTABLE, FREE, changes, fixed_fields
from vqv2.training import Schedule
from vqv2.training.record import advice
from vqv2.training.task import best_precision


def add_training(parser):
    """Add the arguments that every training has."""
    parser.add_argument("--steps", type=int, metavar="N", help="train up to this step")
    parser.add_argument("--batch", type=int, metavar="N", help="images per step")
    parser.add_argument(
        "--accumulate", type=int, metavar="N", help="parts to compute a batch in, to save memory"
    )
    parser.add_argument(
        "--precision", help=f"of products: {', '.join(PRECISION)} (default: auto, for the device)"
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
    add_settings(
        parser,
        "change a field of this stage, or PART.FIELD of the autoencoder or a level; may be "
        "repeated (`vqv2 config show PRESET` lists the fields); with --resume: the learning rate "
        "and its schedule, clipping, dropout and the like",
    )


def add_settings_file(parser):
    """Add --config."""
    parser.add_argument("--config", metavar="FILE.toml", help="change the fields that it names")


def fields(arguments):
    """(preset or None, {[PART.]field: value}) that the arguments give; --set has the last word."""
    name, settings = None, {}
    if getattr(arguments, "config", None):
        name, settings = read_settings(arguments.config)
    settings.update(parse_settings(arguments.settings))
    for field in ("steps", "batch", "accumulate", "precision"):
        if getattr(arguments, field) is not None:
            settings[field] = getattr(arguments, field)
    return name, settings


def check_continues(former, config, arguments, folder):
    """Raise `InputError` when the training in `folder` is given what it cannot go on with.

    Another length of a cosine, along which the rate falls, has to be asked for where the rate would
    leap: see `changes`.
    """
    for name, (old, new) in fixed_fields(former, config).items():
        possible = [f.name for f in dataclasses.fields(former) if f.name in FREE + ADJUSTABLE]
        raise InputError(
            f"--resume continues with the run's own configuration, where {name} is {old}, not "
            f"{new}: only {', '.join(possible)} may be changed"
        )
    asked = {name.rpartition(".")[2] for name in parse_settings(arguments.settings)}
    step = (Checkpoints(folder).metadata() or {"step": 0})["step"]
    goes_on = 0 < step < config.steps
    if goes_on and "steps" in changes(former, config) and not asked & _OF_COSINE:
        was, now = (autoencoder_learning_rate(step + 1, one) for one in (former, config))
        if abs(now - was) <= _LEAP * was:
            return
        raise InputError(
            f"the learning rate falls along half a cosine that ends at step {former.steps}; one "
            f"that ends at {config.steps} would have it leap from {was:.2g} to {now:.2g} at step "
            f"{step + 1}: ask for that with --set learning_rate={config.learning_rate:g} (or "
            "another height of the new cosine), or for a constant rate with --set "
            "decay_learning_rate=false --set learning_rate=..."
        )


_OF_COSINE = {"learning_rate", "decay_learning_rate"}
_LEAP = 0.01  # of the rate: less than that is none


def seed_and_schedule(arguments, begun):
    """The seed and the `Schedule` that a stage was begun with, changed by what is given."""
    seed = arguments.seed if arguments.seed is not None else begun.get("seed", 0)
    check_seed(seed)
    given = {name: getattr(arguments, name) for name in Schedule().lasting()}
    given = {name: value for name, value in given.items() if value is not None}
    given["check_finite"] = arguments.check_finite
    return seed, replace(Schedule(), {**begun.get("schedule", {}), **given})


def advise(config, schedule, begun):
    """Say which precision was chosen, and what does not suit a training as short as this one.

    The latter not where it goes on as `begun`. Where a precision is emulated, that is slow.
    """
    backend = backends.current()
    if config.precision == AUTO:
        print(f"precision: {best_precision()}, as suits the backend {backend}")
    elif config.precision != "float32" and backend != "cupy":
        print(
            f"precision {config.precision} is emulated on backend {backend}: products "
            "of rounded numbers, slower than float32"
        )
    for sentence in () if begun else advice(config, schedule.validate_every):
        print(f"note: {sentence}")


def print_result(metrics, folder):
    """Say what came out of a training, and where it is."""
    if not metrics:
        print(f"{folder} has all its steps already: raise --steps to go on")
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    print(f"held out: {figures}\nsaved in {folder}")
