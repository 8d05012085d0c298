"""Steps whose batch is computed in parts, one after the other: gradient accumulation.

With `accumulate` = m a step computes its batch in m equal parts and averages their gradients, in
the activations' memory of one part. Up to rounding that is the step of the whole batch, except for
what looks at a batch, or draws for it:

* Codebooks look at the whole batch, as without: they start from it, learn from it after all parts
  have been quantised (equation 3), and restart with outputs from anywhere in it.
* Dropout, of levels too, draws part after part: other masks of the same distribution.
* BatchNorm, in the conditioning stack, normalises each part by its own mean and variance, and its
  moving averages take m steps. That is another training, as with a batch of one part's size.
"""

import numpy as np

from vqv2.errors import InputError
from vqv2.training import parallel
from vqv2.training.state import TrainingError, lower_the_rate


def backward(task, step, data, rng):
    """Loss and gradients of a step: (loss, function returning {name: number} to show and log).

    Every parameter's `grad` is afterwards that of the mean over the batch. Raises `TrainingError`
    when a loss is not finite.
    """
    count = task.config.accumulate
    if count == 1:
        return _backward(task, step, data, rng, 1)
    parts = task.split(data, count)
    with task.whole_batch(parts, rng):
        results = [_backward(task, step, part, rng, 1 / count) for part in parts]
    losses, metrics = zip(*results, strict=True)
    return float(np.mean(losses)), lambda: task.combine([one() for one in metrics])


def _backward(task, step, data, rng, weight):
    loss, metrics = task.loss(data, rng)
    # Where the host waits for a device. NaN in any process is NaN in all, so that all of them stop.
    value = parallel.mean({"loss": loss.item()}, task.communicator)["loss"]
    if not np.isfinite(value):
        raise TrainingError(
            f"the loss of {task.stage} became {value} at step {step}: "
            f"{lower_the_rate(task.config)}; the last checkpoint is unchanged, and --resume "
            "--check-finite finds the operation"
        )
    task.optimizer.backward(loss if weight == 1 else loss * weight)
    return value, metrics


def split(data, count):
    """[`count` equal parts of a batch, one after the other].

    `data` is an array with one row per image, None, or a tuple or list of such. Raises `InputError`
    when the parts cannot be equal: the batch is what this process has of it.
    """
    if data is None:
        return [None] * count
    if isinstance(data, tuple | list):
        columns = [split(one, count) for one in data]
        return [type(data)(column[part] for column in columns) for part in range(count)]
    if len(data) % count:
        raise InputError(
            f"{len(data)} images of a batch cannot be computed in {count} equal parts: choose "
            "another accumulate, which divides each process's share of a batch"
        )
    length = len(data) // count
    return [data[start : start + length] for start in range(0, length * count, length)]


def mean(metrics):
    """{name: mean} of a list of {name: number}."""
    return {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}
