"""The state of a training in its checkpoints: everything that continuing it exactly needs."""

import dataclasses
import json

import numpy as np

from vqv2.errors import InputError
from vqv2.run.checkpoint import check_stage, config_of
from vqv2.run.rules import CLASSES, ORIGIN


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no longer a number."""


# Fields that may be others when a training continues. These do not change what a step computes, but
# for what `vqv2.training.step` says of accumulating, and `changes` of steps.
FREE = ("steps", "recompute", "accumulate", "log_gradient_norm")
# These decide how the steps that follow go on from what has been learned, and weights, averages and
# moments fit as they are. A change has to be asked for (`adjust`), and stands in the log. What is
# in neither list says what the model is, which images a step sees, or what the loss is: that would
# be another training.
ADJUSTABLE = (
    "learning_rate",
    "decay_learning_rate",
    "learning_rate_scale",
    "warmup_steps",
    "decay_exponent",
    "gradient_clipping",
    "polyak_decay",
    "dropout",
    "level_dropout",
    "restart_after",
    "precision",
)
PLACE = "path"  # neither does it matter under which path a data set is found now
CODES = "codes"  # what tells those that a prior has learned from others
NAME, IDENTITY = "data", "data_identity"  # what images are called, and what tells them from others


def save_training(task, checkpoints, step, seed, best=None):
    """Write weights, averages, Adam's moments, step and seed as the newest checkpoint.

    `best` is {"step", "loss"} of the lowest held-out loss so far. Raises `TrainingError` rather
    than add weights that are no numbers, `InputError` where they are what a training begins with.
    """
    arrays = {f"model.{name}": array for name, array in task.model.state().items()}
    arrays.update(task.optimizer.state())
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            if step == 0:
                raise InputError(f"{name} of the weights to begin with holds NaN or infinity")
            raise TrainingError(
                f"{name} of {task.stage} holds numbers that are not finite at step {step}: "
                f"{lower_the_rate(task.config)}; the last checkpoint is unchanged"
            )
    metadata = {"stage": task.stage, "step": step, "seed": seed, "config": as_json(task.config)}
    checkpoints.save(arrays, {**metadata, "best": best, **task.metadata})


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Where a training goes on.

    step      of the checkpoint
    best      as `save_training` was told
    changed   {field: {"from": former value, "to": value now}}, as `changes` says
    damaged   [sentence about each damaged checkpoint]
    """

    step: int
    best: dict | None
    changed: dict
    damaged: list


def load_training(task, checkpoints, seed, adjust=False):
    """Fill task.model and task.optimizer from the newest good checkpoint; the `Loaded`.

    Raises `InputError` when it is of another stage, seed, data or configuration than the task,
    except for what is `FREE` and, with `adjust`, `ADJUSTABLE`.
    """
    path, arrays, metadata, damaged = checkpoints.load(
        lambda path, metadata: check_continues(task, metadata, seed, path, adjust)
    )
    changed = changes(config_of(type(task.config), path, metadata), task.config)
    if ORIGIN in metadata:
        task.metadata[ORIGIN] = metadata[ORIGIN]
    if "precision" in changed:
        arrays = task.optimizer.loss_scale.state() | arrays
    task.model.load_state(
        {name[len("model.") :]: a for name, a in arrays.items() if name.startswith("model.")}
    )
    task.optimizer.load_state(arrays, metadata["step"])
    return Loaded(metadata["step"], metadata.get("best"), changed, damaged)


def changes(former, config):
    """{field: {"from": former value, "to": value now}} of what changes the steps that follow.

    Where the rate falls along a cosine its length is such a field: with other `steps` every step
    has another rate, and one that had come to its end would leap up again.
    """
    names = [*ADJUSTABLE, *(["steps"] if getattr(config, "decay_learning_rate", False) else [])]
    pairs = {n: {"from": getattr(former, n, None), "to": getattr(config, n, None)} for n in names}
    return {name: pair for name, pair in pairs.items() if pair["from"] != pair["to"]}


def lower_the_rate(config):
    """What to do about numbers that have grown too large, in words."""
    name = "learning_rate" if hasattr(config, "learning_rate") else "learning_rate_scale"
    return f"lower the learning rate (--resume --set {name}=..., now {getattr(config, name):g})"


def check_continues(task, metadata, seed, path, adjust=False):
    """Raise `InputError` unless the checkpoint with this metadata is one of `task`'s.

    With `adjust`, or before the first step, what `changes` names may be different.
    """
    check_stage(path, metadata, task.stage)
    adjust = adjust or metadata["step"] == 0
    wanted = {"seed": seed, **task.metadata, **as_json(task.config)}
    # Read as a configuration, it has the fields that were added since, too.
    former = config_of(type(task.config), path, metadata)
    found, changed = {**metadata, **as_json(former)}, changes(former, task.config)
    for name, value in wanted.items():
        free = adjust or name not in changed
        if free and name in (*FREE, *ADJUSTABLE, PLACE, _ignored(metadata)):
            continue
        if found.get(name) == value:
            continue
        if name in _OF_DATA and IDENTITY in wanted:
            raise InputError(f"{path} cannot be continued: {_other_data(path, metadata, wanted)}")
        if name == CODES:
            raise InputError(
                f"{path} cannot be continued: it has learned other codes than those that are in "
                f"this run now: restore those, or remove {path.parent} and train it again"
            )
        raise InputError(
            f"{path} cannot be continued: its {name} is {found.get(name)!r}, not {value!r}"
        )


_OF_DATA = ("images", CLASSES, IDENTITY)


def _other_data(path, metadata, wanted):
    """What about the images is different from what a checkpoint at `path` says, and what to do."""
    before, now = metadata[NAME], wanted[NAME]
    if metadata["images"] != wanted["images"]:
        difference = (
            f"it has learned from {metadata['images']} images of {before}, but in {now} there are "
            f"{wanted['images']} to train on now"
        )
    else:
        what = "classes" if metadata[CLASSES] != wanted[CLASSES] else "images"
        difference = f"{before}, which it has learned from, had other {what} than {now} has now"
    remedy = "restore these, or train a new one"
    if metadata["stage"] == "autoencoder":
        remedy += f" that begins with its weights: `vqv2 train autoencoder --from {path.parents[1]}"
        remedy += " --data DATA --out NEW`"
    return f"{difference}: {remedy}"


def described(images):
    """What a checkpoint says about the images, an `ImageSource`, that were learned from."""
    return {
        NAME: images.name,
        "images": len(images),
        CLASSES: list(images.class_names),
        IDENTITY: images.identity,
    }


def is_same_data(metadata, images):
    """Whether a checkpoint with this metadata has learned from `images`, whatever they are called.

    Checkpoints of earlier versions know only their name, their number and their classes.
    """
    now, ignored = described(images), _ignored(metadata)
    return all(metadata.get(name) == now[name] for name in now if name != ignored)


def _ignored(metadata):
    """What does not say which images they are: their name, where there is something better."""
    return NAME if IDENTITY in metadata else IDENTITY


def as_json(config):
    """A configuration as what it will be when read back from JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))
