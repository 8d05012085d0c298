"""The state of a training in its checkpoints: everything that continuing it exactly needs."""

import dataclasses

import numpy as np

from vqv2.errors import InputError
from vqv2.run import rules
from vqv2.run.checkpoint import IN_USE, config_of


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no longer a number."""


def save_training(task, checkpoints, step, seed, best=None):
    """Write weights, averages, Adam's moments, step and seed as the newest checkpoint.

    `best` is {"step", "loss"} of the lowest held-out loss so far. Raises `TrainingError` rather
    than add weights that are no numbers, `InputError` where they are what a training begins with.
    """
    names = _names(task.model)
    arrays = {names[name]: array for name, array in task.model.state().items()}
    arrays.update(task.optimizer.state())
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            if step == 0:
                raise InputError(f"{name} of the weights to begin with holds NaN or infinity")
            raise TrainingError(
                f"{name} of {task.stage} holds numbers that are not finite at step {step}: "
                f"{lower_the_rate(task.config)}; the last checkpoint is unchanged"
            )
    config = rules.as_json(task.config)
    metadata = {"stage": task.stage, "step": step, "seed": seed, "config": config}
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
    except for what `vqv2.run.rules` names.
    """
    wanted = {"stage": task.stage, "seed": seed, **task.metadata}
    path, arrays, metadata, damaged = checkpoints.load(
        lambda path, metadata: rules.check_resumes(path, metadata, task.config, wanted, adjust)
    )
    former = config_of(type(task.config), path, metadata)
    changed = {
        name: {"from": was, "to": now}
        for name, (was, now) in rules.changes(former, task.config).items()
    }
    if rules.ORIGIN in metadata:
        task.metadata[rules.ORIGIN] = metadata[rules.ORIGIN]
    if "precision" in changed:
        arrays = task.optimizer.loss_scale.state() | arrays
    names = _names(task.model)
    state = {name: arrays[stored] for name, stored in names.items() if stored in arrays}
    task.model.load_state(state)
    task.optimizer.load_state(arrays, metadata["step"])
    return Loaded(metadata["step"], metadata.get("best"), changed, damaged)


def _names(model):
    """{name in the model: name in checkpoints}; buffers have no other averages than themselves."""
    buffers = {name: f"{IN_USE}.{name}" for name in model.buffers()}
    return {name: f"model.{name}" for name in model.parameters()} | buffers


def lower_the_rate(config):
    """What to do about numbers that have grown too large, in words."""
    name = "learning_rate" if hasattr(config, "learning_rate") else "learning_rate_scale"
    return f"lower the learning rate (--resume --set {name}=..., now {getattr(config, name):g})"
