"""One update, from top to bottom: batch, forward, backward, mean over processes, clipping, Adam.

With `accumulate` = m a step computes its batch in m equal parts and averages their gradients, in
the activations' memory of one part. Up to rounding that is the step of the whole batch, except for
what looks at a batch, or draws for it:

* Codebooks look at the whole batch, as without: they start from it, learn from it after all parts
  have been quantised (equation 3), and restart with outputs from anywhere in it.
* Dropout, of levels too, draws part after part: other masks of the same distribution.
* BatchNorm, in the conditioning stack, normalises each part by its own mean and variance, and its
  moving averages take m steps. That is another training, as with a batch of one part's size.
"""

import math

import numpy as np

from vqv2.optim import clip_gradients, gradient_norm
from vqv2.training import parallel
from vqv2.training.draws import step_generator


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no longer a number."""


def update(task, step, data, seed):
    """Step 1, 2, ... of a `Task` on its batch's data; a function that returns what to show.

    That is {name: number}, which a device is waited for. Raises `TrainingError` when the loss or
    the gradient is not finite; the weights are then as they were.
    """
    optimizer, communicator = task.optimizer, task.communicator
    loss, metrics = compute_gradients(task, data, step, step_generator(seed, step))
    parallel.average_gradients(optimizer.parameters, communicator)
    norm = _limited_norm(task, step) if optimizer.unscale() else {}
    rate = task.learning_rate(step)
    optimizer.step(rate)  # Adam, and Polyak's average of the weights
    rates = {"learning_rate": rate, "average_decay": optimizer.average_decay}
    more = {**rates, **norm, **optimizer.loss_scale.metrics()}
    return lambda: {"loss": loss, **metrics(), **more}


def compute_gradients(task, data, step, rng):
    """Forward and backward: (loss, function returning {name: number} to show and log).

    Every parameter's `grad` is afterwards that of the mean over this process's share of the batch,
    the loss is the mean over all of it.
    """
    count = task.config.accumulate
    if count == 1:
        return _forward_and_backward(task, data, step, rng)
    parts = task.split(data, count)
    with task.whole_batch(parts, rng):
        results = [_forward_and_backward(task, part, step, rng, 1 / count) for part in parts]
    losses, metrics = zip(*results, strict=True)
    return float(np.mean(losses)), lambda: task.combine([one() for one in metrics])


def _forward_and_backward(task, data, step, rng, weight=1):
    """Add the gradient of `weight` times the loss to every parameter's `grad`."""
    loss, metrics = task.loss(data, rng)
    # Where the host waits for a device. NaN in any process is NaN in all, so that all of them stop.
    value = parallel.mean({"loss": loss.item()}, task.communicator)["loss"]
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss of {task.stage} became {value} at step {step}: "
            f"{lower_the_rate(task.config)}; the last checkpoint is unchanged, and --resume "
            "--check-finite finds the operation"
        )
    task.optimizer.backward(loss if weight == 1 else loss * weight)
    return value, metrics


def _limited_norm(task, step):
    """Clip the gradients where the configuration wants it; {"gradient_norm": before clipping}."""
    limit, parameters = task.config.gradient_clipping, task.optimizer.parameters
    if not limit and not task.config.log_gradient_norm:
        return {}
    norm = gradient_norm(parameters)
    if not math.isfinite(norm):
        raise TrainingError(
            f"the gradient of {task.stage} became {norm} at step {step}: "
            f"{lower_the_rate(task.config)}; the last checkpoint is unchanged"
        )
    if limit:
        clip_gradients(parameters, norm, limit)
    return {"gradient_norm": norm}


def lower_the_rate(config):
    """What to do about numbers that have grown too large, in words."""
    name = "learning_rate" if hasattr(config, "learning_rate") else "learning_rate_scale"
    return f"lower the learning rate (--resume --set {name}=..., now {getattr(config, name):g})"
