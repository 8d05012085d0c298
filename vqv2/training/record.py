"""What is said of a training while it runs: in its log, beside its progress bar, as warnings."""

import math
import sys
import time

import backends
from vqv2.run.log import change_in_words, read_log

PATIENCE = 10  # log lines in a row
SHARE = 0.05  # of the perplexity that a batch's codes could have


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
