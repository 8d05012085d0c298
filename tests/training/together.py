"""What test_parallel starts in several processes.

together.py stages FOLDER          the whole pipeline by the command line
together.py half FOLDER            the training stages in float16
together.py pieces                 single operations and checks; assertions hold in each process
together.py refused FOLDER         a command that all processes refuse
together.py train FOLDER FAULT     a long training with a fault: "none", "broken data", "full disk"
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

import numpy as np

import vqv2.functional as F
from backends.process.communication import Single, connect, launched
from tests.small import AUTOENCODER, CONFIG
from vqv2 import checkpoint, cli, loss_scale
from vqv2.autodiff import Tensor
from vqv2.commands import processes
from vqv2.nn import BatchNorm, Module
from vqv2.optim import Adam
from vqv2.presets import PRESETS
from vqv2.training import AutoencoderTask, loop, parallel

STEPS = 50


def small_preset():
    """Make a preset "small" in this process: everything that speaks between processes happens."""
    autoencoder = dataclasses.replace(
        AUTOENCODER, steps=STEPS, augmentation="ffhq", level_dropout=0.3
    )
    change = functools.partial(dataclasses.replace, steps=STEPS, dropout=0.2, warmup_steps=100)
    priors = tuple(change(prior) for prior in CONFIG.priors)
    PRESETS["small"] = dataclasses.replace(CONFIG, autoencoder=autoencoder, priors=priors)


def commands(folder):
    """The pipeline on FOLDER/images.npz as command lines, into FOLDER/run."""
    run = f"{folder}/run"
    data = ("--data", f"{folder}/images.npz", "--preset", "small", "--out", run)
    return (
        ("train", "autoencoder", *data),
        ("encode", run),
        ("train", "prior", run, "--level", "top"),
        ("train", "prior", run, "--level", "bottom"),
        ("sample", run, "--count", "6", "--batch", "3", "--out", f"{folder}/samples.png"),
    )


def stages(folder):
    """Run the pipeline."""
    small_preset()
    for command in commands(folder):
        assert cli.main(list(command)) == 0


def half(folder):
    """Both stages in float16 from a scale that is too large, --check-finite, and going on."""
    small_preset()
    loss_scale.FIRST = 2.0**30
    autoencoder, encode, *priors, _ = commands(folder)
    for command in (autoencoder, *priors):
        half = (*command, "--precision", "float16", "--log-every", "1", "--resume")
        assert cli.main([*half, "--steps", "8", "--check-finite"]) == 0
        assert cli.main([*half, "--steps", "24"]) == 0
        if command is autoencoder:
            assert cli.main(list(encode)) == 0


class Pair(Module):
    """Something to hold a batch normalisation and a weight."""

    def __init__(self, rng):
        self.normalization = BatchNorm(3)
        self.weight = Tensor(rng.standard_normal(5).astype(np.float32), requires_grad=True)


def check_batch_norm(communicator):
    """Outputs, statistics and gradients of the shares are those of the whole batch."""
    rng = np.random.default_rng(0)
    whole, cotangent = rng.normal(3, 2, (2, 4, 5, 3))
    d_mean, d_variance = rng.standard_normal((2, 3))
    scale, offset = rng.standard_normal((2, 3))
    own = slice(communicator.rank * 2, communicator.rank * 2 + 2)

    def run(x, dy, statistics, communicator):
        tensors = [Tensor(a, requires_grad=True) for a in (x, scale, offset)]
        outputs = F.batch_norm(*tensors, communicator=communicator)
        loss = F.sum(outputs[0] * dy)
        for output, part in zip(outputs[1:], statistics, strict=True):
            loss = loss + F.sum(output * part)
        loss.backward()
        return [o.array for o in outputs], [t.grad for t in tensors]

    # The statistics are outputs of both processes: half of their cotangents comes from each.
    halves = (d_mean / 2, d_variance / 2)
    outputs, gradients = run(whole[own], cotangent[own], halves, communicator)
    expected, wanted = run(whole, cotangent, (d_mean, d_variance), Single())
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    close(outputs[0], expected[0][own])
    close(outputs[1], expected[1])
    close(outputs[2], expected[2])
    close(gradients[0], wanted[0][own])
    close(communicator.all_reduce(gradients[1]), wanted[1])
    close(communicator.all_reduce(gradients[2]), wanted[2])


def check_replicas(communicator):
    """Copies of process 0's weights are equal; one bit that differs is noticed and named."""
    model = Pair(np.random.default_rng(communicator.rank))
    optimizer = Adam(model.parameters(), 0.5)
    optimizer.mean["weight"] += communicator.rank
    task = type("Task", (), {"model": model, "optimizer": optimizer})
    assert parallel.replicate(task, 3 + communicator.rank, communicator) == 3
    assert (optimizer.mean["weight"] == 0).all() and optimizer.steps == 3
    parallel.check_replicas(model, 3, communicator)
    if communicator.rank == 1:
        model.weight.array.view(np.uint32)[2] ^= 1
    try:
        parallel.check_replicas(model, 4, communicator)
    except parallel.ReplicaError as error:
        assert "step 4, process 1 of 2 has other values in weight than process 0" in str(error)
    else:
        raise AssertionError("the difference was not noticed")


def check_gradients(communicator):
    """Gradients of several dtypes and sizes, over several messages, are averaged."""
    parallel.BUCKET = 100
    rng, parameters, expected = np.random.default_rng(0), {}, {}
    for number, shape in enumerate(((3,), (2, 4), (40, 2), (), (5,))):
        kind = np.float32 if number < 3 else np.float64
        gradients = rng.standard_normal((2, *shape)).astype(kind)
        parameters[number] = Tensor(np.zeros(shape), requires_grad=True)
        parameters[number].grad = gradients[communicator.rank]
        expected[number] = gradients.mean(axis=0)
    parallel.average_gradients(parameters, communicator)
    for number, parameter in parameters.items():
        np.testing.assert_allclose(parameter.grad, expected[number], rtol=1e-6)
        assert parameter.grad.dtype == expected[number].dtype


def pieces():
    """Run the checks."""
    communicator = connect()
    check_batch_norm(communicator)
    check_replicas(communicator)
    check_gradients(communicator)
    communicator.barrier()
    if communicator.rank == 0:
        print("all is well")


def train(folder, fault):
    """A training that only an end from outside, or the fault, ends; checkpoints all the time."""
    small_preset()
    rank, _ = launched()
    Path(folder, f"process-{rank}").write_text(str(os.getpid()))
    loop.Schedule = functools.partial(loop.Schedule, checkpoint_seconds=0.1)
    if fault == "none":  # however late process 0 is, the others let it speak
        processes.FIRST_WORD = 60.0
    if fault == "broken data" and rank == 1:
        AutoencoderTask.batch = _break_at(3, AutoencoderTask.batch)
    if fault == "full disk" and rank == 0:
        checkpoint.save_file = _full
    command = commands(folder)[0]
    sys.exit(cli.main([*command, "--steps", "1000000"]))


def refused(folder):
    """A batch that cannot be divided; however late process 0 is, the others let it speak."""
    processes.FIRST_WORD = 60.0
    small_preset()
    sys.exit(cli.main([*commands(folder)[0], "--batch", "5"]))


def _break_at(step, batch):
    def broken(task, asked):
        if asked >= step:
            raise RuntimeError("a file came back as nonsense")
        return batch(task, asked)

    return broken


def _full(arrays, path, header):
    raise OSError(28, "No space left on device")


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    modes = {"stages": stages, "half": half, "pieces": pieces, "train": train, "refused": refused}
    modes[mode](*arguments)
