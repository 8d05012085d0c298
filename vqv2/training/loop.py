"""The training loop that all tasks share: steps, progress, log, checkpoints, continuing.

A *task* says what to train. It has

    stage                      "autoencoder", "prior-LEVEL" or "classifier": what it is called
    model, optimizer, config   the configuration gives batch and steps
    batch(step)                the data of a step: a pure function of step
    loss(data, rng)            (loss tensor, function returning {name: number} to show and log)
    learning_rate(step)
    validate()                 {name: number} on held-out data, with averaged weights
    metadata                   what else its checkpoint has to say
"""

import contextlib
import dataclasses
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vqv2 import checkpoint
from vqv2.errors import InputError
from vqv2.progress import progress_bar
from vqv2.training.log import Log
from vqv2.training.order import step_generator

# What may be another when a training is continued, as it does not change what a step computes: how
# many there are, whether activations are checkpointed, and under which path the data is found.
FREE = ("steps", "checkpoint", "path")


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no longer a number."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often the loop does what is not a step."""

    log_every: int = 20  # steps
    validate_every: int = 500  # steps; also after the last one
    checkpoint_seconds: float = 600.0  # also after the last step and when interrupted
    progress: bool = True  # a progress bar on the terminal


def train(task, folder, seed, resume=False, schedule=None, on_start=lambda: None):
    """Train `task` in `folder` up to its configuration's number of steps; the last metrics.

    `on_start` is called once everything has been found in order, before anything is written.

    Same seed, same backend: same weights, whether interrupted and resumed or not. With `resume`
    and all steps done already, nothing happens and the metrics are {}. Ctrl-C finishes the step,
    saves, and raises `KeyboardInterrupt`. Raises `InputError` when the folder holds a checkpoint
    and `resume` is false, or holds none and it is true; `TrainingError` when the loss is not
    finite (the last checkpoint stays as it was).
    """
    schedule = schedule or Schedule()
    path = folder / "checkpoint.safetensors"
    if not resume and path.exists():
        raise InputError(f"{path} exists: continue it with --resume, or choose another folder")
    start = load_training(task, path, seed) if resume else 0
    steps = task.config.steps
    if start >= steps:
        return {}
    on_start()
    bar = progress_bar(steps, task.stage, "step", schedule.progress, start)
    with bar, interruption() as interrupted, ThreadPoolExecutor(1) as loader:
        record = _Record(task, Log(folder / "log.jsonl", start), bar, start)
        prepared = loader.submit(task.batch, start + 1)
        saved_at = time.monotonic()
        for step in range(start + 1, steps + 1):
            data = prepared.result()
            if step < steps:
                prepared = loader.submit(task.batch, step + 1)
            metrics = _step(task, step, data, seed)
            last = step == steps or interrupted.is_set()
            if last or time.monotonic() - saved_at > schedule.checkpoint_seconds:
                save_training(task, path, step, seed)
                saved_at = time.monotonic()
            if last or step == start + 1 or step % schedule.log_every == 0:
                record.training(step, metrics())
            if step == steps or step % schedule.validate_every == 0:
                record.held_out(step)
            bar.update()
            if last:
                break
    if interrupted.is_set():
        raise KeyboardInterrupt(f"stopped and saved at step {step}: continue with --resume")
    return record.last_held_out


class _Record:
    """Writes metrics to the log and shows them beside the progress bar."""

    def __init__(self, task, log, bar, start):
        self.task = task
        self.log = log
        self.bar = bar
        self.last_held_out = {}
        self._step, self._time = start, time.monotonic()

    def training(self, step, metrics):
        """Log the metrics of a training step, and the speed since the last time."""
        now = time.monotonic()
        images = (step - self._step) * self.task.config.batch
        metrics["images_per_second"] = images / max(1e-9, now - self._time)
        self._step, self._time = step, now
        self.log.write(step=step, split="train", **metrics)
        self.bar.set_postfix(_shown(metrics), refresh=False)

    def held_out(self, step):
        """Validate, and log what came out; the time it took does not count as training."""
        before = time.monotonic()
        self.last_held_out = self.task.validate()
        self._time += time.monotonic() - before
        self.log.write(step=step, split="held_out", **self.last_held_out)


def _step(task, step, data, seed):
    """One update; a function that returns the numbers to show."""
    loss, metrics = task.loss(data, step_generator(seed, step))
    value = loss.item()  # where the host waits for a device, once per step
    if not np.isfinite(value):
        raise TrainingError(
            f"the loss of {task.stage} became {value} at step {step}: lower the learning "
            "rate; the last checkpoint is unchanged"
        )
    loss.backward()
    rate = task.learning_rate(step)
    task.optimizer.step(rate)
    return lambda: {"loss": value, **metrics(), "learning_rate": rate}


def _shown(metrics):
    hidden = ("learning_rate", "reconstruction", "commitment", "codebook")
    return {name: f"{value:.4g}" for name, value in metrics.items() if name not in hidden}


def save_training(task, path, step, seed):
    """Write everything that continuing needs: weights, averages, Adam's moments, step and seed.

    Raises `TrainingError` rather than replace a good checkpoint by weights that are no numbers.
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
    checkpoint.save(path, arrays, {**metadata, **task.metadata})


def load_training(task, path, seed):
    """Fill task.model and task.optimizer from a checkpoint; its step.

    Raises `InputError` when it is of another stage, seed, data or configuration than the task; the
    number of steps, and whether activations are checkpointed, may be others.
    """
    arrays, metadata = checkpoint.load(path)
    wanted = {"stage": task.stage, "seed": seed, **task.metadata, **as_json(task.config)}
    found = {**metadata, **metadata["config"]}
    for name, value in wanted.items():
        if name not in FREE and found.get(name) != value:
            raise InputError(
                f"{path} cannot be continued: its {name} is {found.get(name)!r}, not {value!r}"
            )
    task.model.load_state(
        {name[len("model.") :]: a for name, a in arrays.items() if name.startswith("model.")}
    )
    task.optimizer.load_state(arrays, metadata["step"])
    return metadata["step"]


def as_json(config):
    """A configuration as what it will be when read back from JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


@contextlib.contextmanager
def interruption():
    """Yields an event that Ctrl-C sets instead of breaking into the middle of a step.

    A second Ctrl-C interrupts at once. Outside the main thread nothing is changed, nor where the
    shell has the process ignore Ctrl-C, as it does with what a script runs in the background.
    """
    event = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield event
        return

    def handle(number, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    former = signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, former)
