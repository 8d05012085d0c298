"""What keeps the processes of one training alike: equal starts, equal gradients, equal weights.

Every process holds the whole model and an equal share of every batch. All start from process 0's
weights, take the same step from gradients averaged over the whole batch, and so stay equal to the
last bit; `check_replicas` makes sure of that.
"""

import numpy as np

from backends import array_module
from backends.process.communication import Single
from vqv2.agreement import sum_of_bits
from vqv2.autodiff import Tensor
from vqv2.errors import InputError

BUCKET = 2**25  # bytes of gradients in one message
CHECK_EVERY = 100  # steps between two comparisons of the weights


class ReplicaError(RuntimeError):
    """The processes of a training no longer have the same weights."""


def share(batch, communicator, parts=1):
    """The slice of a batch of `batch` images that this process works on, in `parts` equal parts.

    Raises `InputError` when the batch cannot be divided into equal shares, or these into parts.
    """
    if batch % (communicator.size * parts):
        divided = f" and {parts} parts each (accumulate)" if parts > 1 else ""
        raise InputError(
            f"a batch of {batch} cannot be divided among {communicator.size} processes{divided}: "
            f"choose a multiple of {communicator.size * parts}"
        )
    own = batch // communicator.size
    return slice(communicator.rank * own, (communicator.rank + 1) * own)


def mean(numbers, communicator):
    """The means over all processes of {name: number}; NaN when it is so anywhere."""
    if communicator.size == 1:
        return numbers
    values = np.array(list(numbers.values()), np.float64)
    means = communicator.all_reduce(values) / communicator.size
    return dict(zip(numbers, means.tolist(), strict=True))


def divide(indices, communicator):
    """(this process's part of the indices, who has the others): for sums over all of them.

    Where there are fewer indices than processes, everyone has all of them, by itself.
    """
    if len(indices) < communicator.size:
        return indices, Single()
    return np.array_split(indices, communicator.size)[communicator.rank], communicator


def anywhere(condition, communicator):
    """Whether the condition holds in any of the processes."""
    return bool(communicator.all_reduce(np.array([condition], np.int64))[0])


def replicate(task, step, communicator):
    """Give every process the model, the optimiser's state and the step of process 0; the step."""
    if communicator.size > 1:
        for array in _state(task):
            array[...] = communicator.broadcast(array)
        scale = task.optimizer.loss_scale
        step, scale.skipped = map(int, communicator.broadcast(np.array([step, scale.skipped])))
        scale.load_state({n: communicator.broadcast(a) for n, a in scale.state().items()})
        task.optimizer.steps = step - scale.skipped
    return step


def _state(task):
    """All arrays that training changes, in the same order everywhere."""
    optimizer = task.optimizer
    parts = (_learned(task.model), optimizer.mean, optimizer.square, optimizer.average)
    return [array for part in parts for array in part.values()]


def _learned(model):
    """{name: array} of the parameters and buffers, where they are."""
    arrays = {**model.parameters(), **model.buffers()}
    return {n: a.array if isinstance(a, Tensor) else a for n, a in arrays.items()}


def average_gradients(parameters, communicator):
    """Replace every parameter's gradient by its mean over all processes, in messages of `BUCKET`.

    The gradients are those of means over equal shares, so their mean is that of the whole batch.
    """
    if communicator.size == 1:
        return
    for bucket in _buckets([p for p in parameters.values() if p.grad is not None]):
        xp = array_module(bucket[0].grad)
        flat = xp.concatenate([p.grad.reshape(-1) for p in bucket])
        with np.errstate(over="ignore", invalid="ignore"):  # those of a scaled loss may overflow
            total, start = communicator.all_reduce(flat) / communicator.size, 0
        for parameter in bucket:
            stop = start + parameter.grad.size
            parameter.grad, start = total[start:stop].reshape(parameter.grad.shape), stop


def _buckets(parameters):
    """Split tensors into lists of one dtype with about `BUCKET` bytes of gradients, in order."""
    bucket, filled = [], 0
    for parameter in parameters:
        gradient = parameter.grad
        if bucket and (filled + gradient.nbytes > BUCKET or gradient.dtype != bucket[0].grad.dtype):
            yield bucket
            bucket, filled = [], 0
        bucket.append(parameter)
        filled += gradient.nbytes
    if bucket:
        yield bucket


def check_replicas(model, step, communicator):
    """Raise `ReplicaError`, in all processes, when one has other weights or buffers than process 0.

    What is compared is, for every array, the sum of its bits as whole numbers: exact, and cheap.
    """
    if communicator.size == 1:
        return
    arrays = _learned(model)
    sums = communicator.all_gather(np.array([sum_of_bits(a) for a in arrays.values()], np.uint64))
    different = sums != sums[0]
    if different.any():
        place = int(np.flatnonzero(different.any(axis=0))[0])
        rank = int(np.flatnonzero(different[:, place])[0])
        raise ReplicaError(
            f"at step {step}, process {rank} of {communicator.size} has other values in "
            f"{list(arrays)[place]} than process 0: the machines may compute differently "
            "(processors, versions), or a memory is faulty; continue from the last checkpoint"
        )
