"""What test_parallel starts in several processes.

together.py stages FOLDER          the whole pipeline by the command line
together.py half FOLDER            the training stages in float16
together.py pieces                 single operations and checks; assertions hold in each process
together.py disagree FOLDER        what all processes refuse when the last one has something else
together.py refused FOLDER         a command that all processes refuse
together.py other FOLDER           a training whose last process finds other images
together.py train FOLDER FAULT     a long training with a fault: "none", "broken data", "full disk"
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import vqv2.functional as F
from backends.process.communication import Single, connect, launched
from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import Hierarchy, agreement, optim, pipeline
from vqv2.autodiff import Tensor
from vqv2.cli import processes
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.files import tensors
from vqv2.nn import BatchNorm, Module
from vqv2.optim import Adam
from vqv2.presets import PRESETS
from vqv2.run import Run
from vqv2.training import AutoencoderTask, encode_dataset, loop, parallel
from vqv2.training.start import Start

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
        assert main(list(command)) == 0


def half(folder):
    """Both stages in float16 from a scale that is too large, --check-finite, and going on."""
    small_preset()
    optim.FIRST = 2.0**30
    autoencoder, encode, *priors, _ = commands(folder)
    for command in (autoencoder, *priors):
        half = (*command, "--precision", "float16", "--log-every", "1", "--resume")
        assert main([*half, "--steps", "8", "--check-finite"]) == 0
        assert main([*half, "--steps", "24"]) == 0
        if command is autoencoder:
            assert main(list(encode)) == 0


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
    optimizer.loss_scale.skipped = 2 - 2 * communicator.rank  # left out in float16 before
    task = type("Task", (), {"model": model, "optimizer": optimizer})
    assert parallel.replicate(task, 3 + communicator.rank, communicator) == 3
    assert (optimizer.mean["weight"] == 0).all() and optimizer.steps == 1
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


def check_disagreement(communicator, folder):
    """All processes refuse with the same sentence, and write nothing."""
    last = communicator.rank == communicator.size - 1
    sources = pipeline.open_splits(write_images(f"{folder}/{communicator.rank}.npz"), AUTOENCODER)
    fewer = pipeline.open_splits(write_images(f"{folder}/f{communicator.rank}.npz", 9), AUTOENCODER)
    swapped = {split: sources["train"] for split in sources}

    def train(sources=sources, seed=0, schedule=None, version=None, start=None, **fields):
        config = CONFIG.with_autoencoder(dataclasses.replace(AUTOENCODER, **fields))
        run = Run(f"{folder}/run", config, ("0", "1", "2"), "images.npz")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(agreement, "__version__", version or agreement.__version__)
            pipeline.train_autoencoder(
                run, sources, seed, schedule=schedule, communicator=communicator, start=start
            )

    def extract(sources=sources, **how):
        model = Run(folder, CONFIG, (), "").new_autoencoder(seed=0)
        encode_dataset(model, "a", sources, f"{folder}/codes", communicator=communicator, **how)

    def sample(count=2, seed=0, temperature=1.0, prior_seed=0, **how):
        run = Run(folder, CONFIG, ("0", "1", "2"), "")
        priors = {level: run.new_prior(level, prior_seed) for level in CONFIG.levels}
        hierarchy = Hierarchy(CONFIG, run.class_names, run.new_autoencoder(0), priors)
        hierarchy.sample(
            count, seed=seed, temperature=temperature, communicator=communicator, **how
        )

    origin = {"run": "", "stage": "autoencoder", "step": 0, "identity": "a"}
    start = Start(Run(folder, CONFIG, (), "").new_autoencoder(seed=0), origin)
    for work, others, said in (
        (train, {"sources": fewer}, "number of train images than process 0, 8 instead of 23"),
        (train, {"sources": swapped}, "number of held out images than process 0, 23 instead of 1"),
        (train, {"seed": 7}, "seed than process 0, 7 instead of 0"),
        (train, {"commitment": 0.5}, "commitment than process 0, 0.5 instead of 0.25"),
        (train, {"schedule": loop.Schedule(validate_every=3)}, "validate_every"),
        (train, {"start": start}, 'checksum of given weights than process 0, "a" instead of null'),
        (train, {"version": "0"}, 'version of vqv2 than process 0, "0" instead of'),
        (extract, {"sources": fewer}, "number of train images"),
        (extract, {"copies": 2}, "copies than process 0, 2 instead of 1"),
        (sample, {"count": 3}, "count than process 0, 3 instead of 2"),
        (sample, {"seed": 1}, "seed"),
        (sample, {"label": 1}, "choice of classes than process 0, [1, 1] instead of"),
        (sample, {"temperature": 0.5}, "setting of top"),
        (sample, {"prior_seed": 1}, "prior of top"),
    ):
        with pytest.raises(InputError) as caught:
            work(**others if last else {})
        assert f"process 1 of 2 has another {said}" in str(caught.value)
    assert not Path(folder, "run").exists() and not Path(folder, "codes").exists()


def disagree(folder):
    """Run the check."""
    communicator = connect()
    check_disagreement(communicator, folder)
    communicator.barrier()
    if communicator.rank == 0:
        print("all is well")


def other(folder):
    """The command of a training for which the last process finds other images, as many."""
    small_preset()
    rank, _ = launched()
    command = list(commands(folder)[0])
    if rank:
        with np.load(f"{folder}/images.npz") as data:
            np.savez(f"{folder}/stale.npz", images=255 - data["images"], labels=data["labels"])
        command[command.index("--data") + 1] = f"{folder}/stale.npz"
    sys.exit(main(command))


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
        tensors.write_all = _full
    command = commands(folder)[0]
    sys.exit(main([*command, "--steps", "1000000"]))


def refused(folder):
    """A batch that cannot be divided; however late process 0 is, the others let it speak."""
    processes.FIRST_WORD = 60.0
    small_preset()
    sys.exit(main([*commands(folder)[0], "--batch", "5"]))


def _break_at(step, batch):
    def broken(task, asked):
        if asked >= step:
            raise RuntimeError("a file came back as nonsense")
        return batch(task, asked)

    return broken


def _full(*_):
    raise OSError(28, "No space left on device")


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    modes = (stages, half, pieces, disagree, train, refused, other)
    {function.__name__: function for function in modes}[mode](*arguments)
