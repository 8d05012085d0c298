"""The training loop that all tasks share: steps, progress, log, checkpoints, continuing.

What is trained is a `vqv2.training.task.Task`.

Everything that happens is a pure function of the step and of what a checkpoint holds. What is said
about a step (log, held-out loss) is on the disk before the checkpoint of that step is, so that a
training killed at any moment and continued ends exactly like one that was not.
"""

import contextlib
import dataclasses
import math
import signal
import sys
import time

import numpy as np

import backends
from vqv2.agreement import check_agreement
from vqv2.data.readers import prefetched
from vqv2.errors import InputError
from vqv2.files import remove_partial
from vqv2.nn.finite import NotFiniteError, check_finite
from vqv2.run import rules, write_stage
from vqv2.run.checkpoint import IN_USE, Checkpoints, config_of
from vqv2.run.lock import locked
from vqv2.run.log import Log, NoLog
from vqv2.terminal import progress_bar
from vqv2.training import parallel
from vqv2.training.record import Record
from vqv2.training.signals import Stopped, interruption
from vqv2.training.step import TrainingError, lower_the_rate, update


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often the loop does what is not a step."""

    log_every: int = 20  # steps
    validate_every: int = 500  # steps; also after the last one
    # Also after the last step, when interrupted, and with each new lowest held-out loss.
    checkpoint_seconds: float = 600.0
    keep: int = 2  # checkpoints, the newest and those before it; the best is kept besides
    progress: bool = True  # a progress bar on the terminal
    check_finite: bool = False  # look for NaN and infinity after every operation: slow

    def check(self):
        """Raise `InputError` when a field makes no sense; returns self."""
        for name, least in (("log_every", 1), ("validate_every", 1), ("checkpoint_seconds", 0)):
            if not getattr(self, name) >= least:  # false for NaN, too
                raise InputError(f"{name} {getattr(self, name)} must be at least {least}")
        if self.keep < 1:
            raise InputError(f"keep {self.keep} must be at least 1: the newest checkpoint")
        return self

    def lasting(self):
        """What a training that goes on should do like before, as a dictionary."""
        fields = dataclasses.asdict(self)
        return {name: fields[name] for name in fields if name not in ("progress", "check_finite")}


def train(task, folder, seed, resume=False, schedule=None, on_start=lambda: None, adjust=False):
    """Train `task` in `folder` up to its configuration's number of steps; the last metrics.

    `on_start` is called once everything has been found in order, before the first step.

    Same seed, same backend, same number of threads: same weights, whether interrupted and resumed
    or not. With `resume` it continues from the newest checkpoint that is not damaged, or begins
    where there is none; with all steps done already, nothing happens and the metrics are {}.
    With `adjust` it may go on with another learning rate and the like
    (`vqv2.run.rules.ADJUSTABLE`), which is said and logged.
    Ctrl-C and SIGTERM finish the step, save, and raise `Stopped`. Raises `InputError` when the
    folder holds a checkpoint and `resume` is false, or while another process trains in it;
    `TrainingError` when the loss is not finite (the last checkpoint stays as it was).

    Where several processes share the batches, all call this, and only the first one writes. Raises
    `InputError` in all of them when one has other data, another seed or another configuration.
    """
    first = task.communicator.rank == 0
    schedule = (schedule or Schedule()).check()
    check_agreement(task.communicator, lambda: _facts(task, seed, schedule))
    checkpoints = Checkpoints(folder, schedule.keep)
    _check_files(checkpoints.folder)
    if not resume:
        rules.check_none(checkpoints)
    with (
        locked(folder) if first else contextlib.nullcontext(),
        backends.use(precision=task.config.precision),
    ):
        training = _Training(task, checkpoints, seed, schedule)
        if first:
            remove_partial(folder)  # what a killed process left half written
        if resume and first:
            training.load(adjust)
        training.step = parallel.replicate(task, training.step, task.communicator)
        if training.step < task.config.steps:
            if first:
                training.begin()
                on_start()
            training.run()
        return training.last_held_out


def _check_files(folder):
    """Raise `InputError` now for what would be found in the way when it is written."""
    for path in (*folder.glob("*.safetensors"), folder / "training.json", folder / "log.jsonl"):
        if path.is_dir():
            raise InputError(f"{path} is a folder, where a file is to be written: move it away")


def _facts(task, seed, schedule):
    """What all processes of a training must have alike."""
    how = {"check_finite": schedule.check_finite, **schedule.lasting()}
    given = {"checksum of given weights": task.metadata.get(rules.ORIGIN, {}).get("identity")}
    what = {"stage": task.stage, "seed": seed, **rules.as_json(task.config)}
    return {**what, **how, **given, **task.facts()}


class _Training:
    """A training under way: the step it has reached, and the lowest held-out loss so far."""

    def __init__(self, task, checkpoints, seed, schedule):
        self.task = task
        self.checkpoints = checkpoints
        self.seed = seed
        self.schedule = schedule
        self.step = 0
        self.best = None  # {"step", "loss"}
        self.changed = {}  # {field: {"from": former value, "to": value now}} where it goes on
        self.last_held_out = {}
        self.first = task.communicator.rank == 0

    def load(self, adjust):
        """Go to where the newest good checkpoint is; stay at the beginning where there is none."""
        if self.checkpoints.paths():
            metadata, self.changed, damaged = load_training(
                self.task, self.checkpoints, self.seed, adjust
            )
            self.step, self.best = metadata["step"], metadata.get("best")
            for sentence in damaged:
                print(f"vqv2: {sentence}", file=sys.stderr)

    def begin(self):
        """Write what it is begun with: the weights, where these are not drawn from the seed."""
        task, folder, origin = (
            self.task,
            self.checkpoints.folder,
            self.task.metadata.get(rules.ORIGIN),
        )
        if origin and not self.checkpoints.paths():
            save_training(task, self.checkpoints, self.step, self.seed)
        lasting = self.schedule.lasting()
        write_stage(folder, task.stage, self.seed, task.config, lasting, origin)

    def run(self):
        """All steps that are left."""
        task, steps, start = self.task, self.task.config.steps, self.step
        bar = progress_bar(steps, task.stage, "step", self.schedule.progress and self.first, start)
        batches = prefetched(task.batch, range(start + 1, steps + 1))
        with bar, interruption() as interrupted, contextlib.closing(batches):
            log = Log(self.checkpoints.folder / "log.jsonl", start) if self.first else NoLog()
            self._record = Record(task, log, bar, start)
            if self.changed:
                self._record.change(start + 1, self.changed)
            saved_at = time.monotonic()
            for step, data in enumerate(batches, start + 1):
                metrics = self._checked_step(step, data)
                self.step, last = step, step == steps
                stopped = parallel.anywhere(bool(interrupted), task.communicator)
                if step == 1 or last or step % self.schedule.log_every == 0:
                    self._record.training(step, metrics())
                improved = (last or step % self.schedule.validate_every == 0) and self._validate()
                late = time.monotonic() - saved_at > self.schedule.checkpoint_seconds
                if last or stopped or step % parallel.CHECK_EVERY == 0:
                    parallel.check_replicas(task.model, step, task.communicator)
                if last or stopped or improved or late:
                    self._save()
                    saved_at = time.monotonic()
                bar.update()
                if stopped:
                    break
            # The last checkpoint is there before anyone leaves. A signal that reaches this process
            # later than the one whose stop it has followed must not end it here.
            task.communicator.barrier()
        if stopped:
            message = f"stopped and saved at step {step}: continue with --resume"
            raise Stopped(message, interrupted.number or signal.SIGTERM)  # another process's

    def _checked_step(self, step, data):
        watch, task = contextlib.nullcontext(), self.task
        if self.schedule.check_finite:
            watch = check_finite(task.model, backward=not task.optimizer.loss_scale.may_overflow)
        try:
            with watch:
                return update(task, step, data, self.seed)
        except NotFiniteError as error:
            said = f"{task.stage}, step {step}: {error}; the last checkpoint is unchanged"
        except TrainingError as error:
            said = str(error)
        raise TrainingError(said + self.checkpoints.way_back())

    def _validate(self):
        """Log what comes out; whether the loss is the lowest so far."""
        self.last_held_out = self._record.held_out(self.step)
        loss = self.last_held_out.get("loss", math.nan)
        improved = math.isfinite(loss) and (self.best is None or loss < self.best["loss"])
        if improved:
            self.best = {"step": self.step, "loss": loss}
        return improved

    def _save(self):
        if self.first:
            self._record.log.flush()
            save_training(self.task, self.checkpoints, self.step, self.seed, self.best)


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


def load_training(task, checkpoints, seed, adjust=False):
    """Fill task.model and task.optimizer from the newest good checkpoint; where it goes on.

    That is (its metadata, {field: {"from": former value, "to": value now}}, [sentence about each
    damaged checkpoint]).
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
    return metadata, changed, damaged


def _names(model):
    """{name in the model: name in checkpoints}; buffers have no other averages than themselves."""
    buffers = {name: f"{IN_USE}.{name}" for name in model.buffers()}
    return {name: f"model.{name}" for name in model.parameters()} | buffers
