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

from vqv2.agreement import check_agreement
from vqv2.data.prefetch import prefetched
from vqv2.errors import InputError
from vqv2.files import remove_partial
from vqv2.nn.finite import NotFiniteError, check_finite
from vqv2.progress import progress_bar
from vqv2.run import write_stage
from vqv2.run.checkpoint import Checkpoints
from vqv2.run.lock import locked
from vqv2.run.log import Log, NoLog
from vqv2.run.rules import ORIGIN, as_json, check_none
from vqv2.training import parallel
from vqv2.training.precision import in_its_precision
from vqv2.training.record import Record
from vqv2.training.signals import Stopped, interruption
from vqv2.training.state import TrainingError, load_training, save_training
from vqv2.training.step import update


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


@in_its_precision
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
        check_none(checkpoints)
    with locked(folder) if first else contextlib.nullcontext():
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
    given = {"checksum of given weights": task.metadata.get(ORIGIN, {}).get("identity")}
    what = {"stage": task.stage, "seed": seed, **as_json(task.config)}
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
            loaded = load_training(self.task, self.checkpoints, self.seed, adjust)
            self.step, self.best, self.changed = loaded.step, loaded.best, loaded.changed
            for sentence in loaded.damaged:
                print(f"vqv2: {sentence}", file=sys.stderr)

    def begin(self):
        """Write what it is begun with: the weights, where these are not drawn from the seed."""
        task, folder, origin = self.task, self.checkpoints.folder, self.task.metadata.get(ORIGIN)
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
            log = Log(self._log_path, start) if self.first else NoLog()
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
                improved = self._validate() if self._validates() else False
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
        try:
            with self._watch():
                return update(self.task, step, data, self.seed)
        except NotFiniteError as error:
            said = f"{self.task.stage}, step {step}: {error}; the last checkpoint is unchanged"
        except TrainingError as error:
            said = str(error)
        raise TrainingError(said + self.checkpoints.way_back())

    def _watch(self):
        if not self.schedule.check_finite:
            return contextlib.nullcontext()
        may_overflow = self.task.optimizer.loss_scale.may_overflow
        return check_finite(self.task.model, backward=not may_overflow)

    @property
    def _log_path(self):
        return self.checkpoints.folder / "log.jsonl"

    def _validates(self):
        return self.step == self.task.config.steps or self.step % self.schedule.validate_every == 0

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
