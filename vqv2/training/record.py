"""What is said of a training: advice before it, its log, its progress bar, warnings."""

import math
import sys
import time

import backends
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.optim import prior_learning_rate
from vqv2.run.log import change_in_words, read_log

PATIENCE = 10  # log lines in a row
SHARE = 0.05  # of the perplexity that a batch's codes could have
RESTARTS = 10  # chances that an unused code should at least have
SOONEST = 10  # steps until it restarts: in fewer, a code that is just rare may seem unused


class Record:
    """Writes metrics to the log and shows them beside the progress bar.

    task, log   a `Task`, and a `vqv2.run.log.Log`
    bar         the progress bar
    start       the step that training goes on after
    """

    def __init__(self, task, log, bar, start):
        self.task = task
        self.log = log
        self.bar = bar
        self._step, self._time = start, time.monotonic()
        self._recent = [line for line in read_log(log.path) if line["split"] == "train"][-PATIENCE:]

    def change(self, step, changed):
        """Log and say which fields have other values from this step on."""
        self.log.write(step=step, split="change", changed=changed)
        rate = self.task.learning_rate(step)
        words = f"{change_in_words(changed)}; the learning rate is {rate:.3g}"
        self.bar.write(f"vqv2: from step {step} on {words}", file=sys.stderr)

    def training(self, step, metrics):
        """Log the metrics of a training step, and the speed since the last time."""
        now = time.monotonic()
        images = (step - self._step) * self.task.config.batch
        metrics["images_per_second"] = images / max(1e-9, now - self._time)
        self._step, self._time = step, now
        if (held := backends.pool_bytes()) is not None:
            metrics["device_memory_bytes"] = held
        self.log.write(step=step, split="train", **metrics)
        self.bar.set_postfix(_shown(metrics), refresh=False)
        self._warn({"step": step, **metrics})

    def _warn(self, line):
        """Say when codebooks have collapsed; what has been said is in the log, so it is once."""
        self._recent = [*self._recent[-PATIENCE:], line]
        if any(name.startswith("perplexity_") for name in line):
            for sentence in collapse_warnings(self._recent, self.task.config):
                self.log.write(step=line["step"], split="warning", warning=sentence)
                self.bar.write(f"vqv2: {sentence}", file=sys.stderr)

    def held_out(self, step):
        """Validate, and log what came out; the time it took does not count as training."""
        before = time.monotonic()
        metrics = self.task.validate()
        self._time += time.monotonic() - before
        self.log.write(step=step, split="held_out", **metrics)
        return metrics


def _shown(metrics):
    hidden = (
        "learning_rate", "average_decay", "reconstruction", "commitment", "codebook",
        "device_memory_bytes",
    )  # fmt: skip
    return {name: f"{value:.4g}" for name, value in metrics.items() if name not in hidden}


def collapse_warnings(lines, config):
    """[sentence] about each level that has just been seen to have collapsed.

    `lines` are the last log lines of training steps, of which PATIENCE + 1 count. A codebook has
    collapsed when the perplexity of a batch's codes was below SHARE of what it could be (K, or the
    number of codes in a batch) in PATIENCE lines in a row; that is said once, at the last of them.
    While codes have not had the time to restart three times, nothing is said.
    """
    if len(lines) < PATIENCE:
        return []
    found = []
    for level, size in zip(config.levels, config.latent_sizes, strict=True):
        most = min(config.codebook_size, config.batch * size**2)
        low = [_is_low(line, level, most, 3 * config.restart_after) for line in lines]
        if all(low[-PATIENCE:]) and low[-PATIENCE - 1 : -PATIENCE] != [True]:
            found.append(_sentence(level, lines[-1], lines[-PATIENCE], most, config.restart_after))
    return found


def _is_low(line, level, most, first_step):
    # A line of a log that was damaged may lack it.
    low = line.get(f"perplexity_{level}", math.inf) < max(2.0, SHARE * most)
    return low and line["step"] >= first_step


def _sentence(level, line, first, most, restart_after):
    restarts = (
        "restart_after is 0: let unused codes restart"
        if not restart_after
        else ("lower learning_rate, or restart_after")
    )
    return (
        f"the codebook of level {level} has collapsed: since step {first['step']} a batch's codes "
        f"have had a perplexity below {max(2.0, SHARE * most):.3g} of {most} possible, now "
        f"{line[f'perplexity_{level}']:.3g} with {line[f'used_{level}']} codes in use; {restarts}"
    )


def advice(config, validate_every=500):
    """[sentence] about fields of a stage's configuration that its number of steps makes unwise.

    The paper trains for up to two million steps. Fields that are right for that, and which this
    project does not change by itself, may leave a training of a thousand steps with little learned.
    What adapts by itself needs no advice: the Polyak average (`vqv2.optim.Adam.average_decay`) and
    all debiased averages.

    None for the presets at their own lengths. `validate_every` is that of the `Schedule`.
    """
    found = []
    if isinstance(config, PriorConfig):
        found += _warmup(config)
    if isinstance(config, AutoencoderConfig):
        found += _restarts(config)
    if config.steps <= validate_every:
        found.append(
            f"the held-out loss will be known at the end only, after {config.steps} steps: "
            f"--validate-every {max(1, config.steps // 10)} shows how it falls, and keeps the best"
        )
    return found


def _warmup(config):
    """Section A.2's rate peaks where its branches cross, which may be far behind the last step.

    The same peak after a tenth of the steps: the crossing is at step w^(1.5 / (1 + exponent)) for w
    warm-up steps, and the rate there falls with the exponent of that step.
    """
    exponent = config.decay_exponent
    crossing = config.warmup_steps ** (1.5 / (1 + exponent))
    if config.steps >= crossing:
        return []
    peak = max(1, config.steps / 10)
    warmup = max(1, round(peak ** ((1 + exponent) / 1.5)))
    scale = config.learning_rate_scale * (peak / crossing) ** exponent
    share = prior_learning_rate(config.steps, config) / prior_learning_rate(crossing, config)
    return [
        f"the learning rate rises until step {crossing:.0f} (warmup_steps {config.warmup_steps}), "
        f"but this training ends at step {config.steps}, with {share:.1%} of the highest rate: "
        f"--set warmup_steps={warmup} --set learning_rate_scale={scale:.3g} would reach all of it "
        f"at step {peak:.0f}"
    ]


def _restarts(config):
    sooner = max(SOONEST, config.steps // (2 * RESTARTS))
    if config.steps >= RESTARTS * config.restart_after or sooner >= config.restart_after:
        return []  # also for 0: never is somebody's choice
    return [
        f"a code that nothing uses restarts after {config.restart_after} steps (restart_after), "
        f"but this training has only {config.steps}: "
        f"--set restart_after={sooner} lets more codes be of use"
    ]
