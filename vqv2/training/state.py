"""The state of a training in its checkpoints: everything that continuing it exactly needs."""

import dataclasses
import json

import numpy as np

from vqv2.checkpoint import check_stage, config_of
from vqv2.errors import InputError


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no longer a number."""


# Fields that may be others when a training continues: steps and recomputation do not change what a
# step computes, and accumulating changes it as `vqv2.training.accumulation` says.
FREE = ("steps", "recompute", "accumulate")
PLACE = "path"  # neither does it matter under which path a data set is found now
CODES = "codes"  # what tells those that a prior has learned from others
NAME, IDENTITY = "data", "data_identity"  # what images are called, and what tells them from others


def save_training(task, checkpoints, step, seed, best=None):
    """Write weights, averages, Adam's moments, step and seed as the newest checkpoint.

    `best` is {"step", "loss"} of the lowest held-out loss so far. Raises `TrainingError` rather
    than add weights that are no numbers.
    """
    arrays = {f"model.{name}": array for name, array in task.model.state().items()}
    arrays.update(task.optimizer.state())
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingError(
                f"{name} of {task.stage} holds numbers that are not finite at step {step}: lower "
                "the learning rate; the last checkpoint is unchanged"
            )
    metadata = {"stage": task.stage, "step": step, "seed": seed, "config": as_json(task.config)}
    checkpoints.save(arrays, {**metadata, "best": best, **task.metadata})


def load_training(task, checkpoints, seed):
    """Fill task.model and task.optimizer from the newest good checkpoint.

    (step, best as `save_training` was told, [sentence about each damaged checkpoint]). Raises
    `InputError` when it is of another stage, seed, data or configuration than the task, except
    for what is `FREE` to be another.
    """
    _, arrays, metadata, damaged = checkpoints.load(
        lambda path, metadata: check_continues(task, metadata, seed, path)
    )
    task.model.load_state(
        {name[len("model.") :]: a for name, a in arrays.items() if name.startswith("model.")}
    )
    task.optimizer.load_state(arrays, metadata["step"])
    return metadata["step"], metadata.get("best"), damaged


def check_continues(task, metadata, seed, path):
    """Raise `InputError` unless the checkpoint with this metadata is one of `task`'s."""
    check_stage(path, metadata, task.stage)
    wanted = {"seed": seed, **task.metadata, **as_json(task.config)}
    # Read as a configuration, it has the fields that were added since, too.
    config = as_json(config_of(type(task.config), path, metadata))
    found = {**metadata, **config}
    for name, value in wanted.items():
        if name in (*FREE, PLACE, _ignored(metadata)) or found.get(name) == value:
            continue
        if name == IDENTITY:
            raise InputError(
                f"{path} cannot be continued: {metadata[NAME]}, which it has learned from, had "
                f"other images than {wanted[NAME]} has now"
            )
        if name == CODES:
            raise InputError(
                f"{path} cannot be continued: it has learned other codes than those that are in "
                f"this run now: restore those, or remove {path.parent} and train it again"
            )
        raise InputError(
            f"{path} cannot be continued: its {name} is {found.get(name)!r}, not {value!r}"
        )


def described(images):
    """What a checkpoint says about the images, an `ImageSource`, that were learned from."""
    return {
        NAME: images.name,
        "images": len(images),
        "class_names": list(images.class_names),
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
