"""`kill -9` at any moment of any stage: the same command again ends as if nothing had happened."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.processes import await_moment, finish, started
from tests.small import write_images
from tests.training.killed import differences

pytestmark = pytest.mark.thorough

ENVIRONMENT = {
    **os.environ,
    "NUMBA_NUM_THREADS": "1",  # threads have a part in how sums are rounded
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
ALWAYS = ["--resume", "--save-every", "0", "--log-every", "2", "--validate-every", "5",
          "--seed", "3", "--keep", "3"]  # fmt: skip
AUTOENCODER = ["image_size=16", "latent_sizes=4,8", "hidden_units=8", "residual_units=4",
               "codebook_size=12", "codebook_dimension=6", "restart_after=3",
               "level_dropout=0.2", "augmentation=ffhq"]  # fmt: skip
PRIOR = ["hidden_units=8", "residual_units=8", "layers=2", "conditioning_units=8",
         "conditioning_blocks=2", "attention_layers=1"]  # fmt: skip
KILLS = {"autoencoder": 10, "encode": 4, "prior-top": 6, "prior-bottom": 7}
STEPS = 140
SAVES = 6  # at most so many checkpoints are written before a kill


def commands(run, data, steps):
    """{stage: arguments of vqv2}: all of a run, each command good for beginning and going on."""

    def prior(level):
        return ["train", "prior", run, "--level", level, "--steps", steps, "--batch", 4,
                *ALWAYS, *sets(PRIOR)]  # fmt: skip

    return {
        "autoencoder": ["train", "autoencoder", "--data", data, "--out", run, "--steps", steps,
                        "--batch", 4, *ALWAYS, *sets(AUTOENCODER)],
        "encode": ["encode", run],
        "prior-top": prior("top"),
        "prior-bottom": prior("bottom"),
    }  # fmt: skip


def sets(fields):
    return [item for field in fields for item in ("--set", field)]


def vqv2(arguments):
    command = [sys.executable, "-W", "error", "-m", "vqv2", *arguments]
    return started(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def complete(arguments):
    with vqv2(arguments) as process:
        status, _, error = finish(process)
    assert status == 0, error


def killed(arguments, is_time):
    """Kill a command as soon as `is_time` says so; whether it had not ended before."""
    with vqv2(arguments) as process:
        await_moment(process, is_time, 0.001)
        process.kill()
        status, _, error = finish(process)
    assert status in (0, -signal.SIGKILL), error
    return status != 0


def a_moment_while_starting(rng):
    """A moment before or soon after the first step."""
    until = time.monotonic() + rng.uniform(0, 1)
    return lambda: time.monotonic() > until


def a_moment_while_writing(rng, path, count):
    """A moment soon after `path` was replaced up to `count` times."""
    seen, wanted, delay, until = [_version(path)], rng.randint(0, count), rng.uniform(0, 0.02), []

    def is_time():
        if _version(path) != seen[-1]:
            seen.append(_version(path))
        if len(seen) > wanted and not until:
            until.append(time.monotonic() + delay)
        return bool(until) and time.monotonic() > until[0]

    return is_time


def _version(path):
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def end_under_kills(run, data, rng):
    """Run all stages, each killed up to KILLS times on its way; {stage: how often it was}."""
    kills = dict.fromkeys(KILLS, 0)
    for stage, arguments in commands(run, data, steps=STEPS).items():
        for attempt in range(3 * KILLS[stage]):
            if kills[stage] == KILLS[stage]:
                break
            if stage == "encode":
                path, count = run / "codes.partial", 1
            else:
                path, count = run / stage / "checkpoint.safetensors", SAVES
            moment = a_moment_while_writing(rng, path, count)
            if attempt % 5 == 0:
                moment = a_moment_while_starting(rng)
            kills[stage] += killed(arguments, moment)
        complete(arguments)
    return kills


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(tmp_path):
    rng = random.Random()  # other moments every time; what must come out is always the same
    data = write_images(tmp_path / "images.npz", count=400)
    undisturbed = tmp_path / "undisturbed" / "run"
    for arguments in commands(undisturbed, data, steps=STEPS).values():
        complete(arguments)
    kills = Counter()
    # On a busy machine a kill may come when all steps are done: then another run makes up for it.
    for number in range(5):
        disturbed = tmp_path / f"disturbed-{number}" / "run"
        kills.update(end_under_kills(disturbed, data, rng))
        assert differences(undisturbed, disturbed) == []
        if kills.total() >= 25 and min(kills.values()) >= 1:
            break
    assert kills.total() >= 25 and min(kills.values()) >= 1, kills
    kept = {"checkpoint", "best", *(f"checkpoint-{STEPS - i}" for i in (1, 2))}
    files = {path.name for path in (disturbed / "prior-top").iterdir()}
    assert files == {".lock", "training.json", "log.jsonl", *(f"{n}.safetensors" for n in kept)}


# Ends itself, as by kill -9, at the N-th operation on files: before it, or right after it.
AT_EVERY_OPERATION = """
import os, pathlib, shutil, signal, sys
from vqv2.cli.main import main
from tests.training.killed import differences

run, other, *arguments = sys.argv[1:]
operations = ("replace", "link", "fsync", "unlink")

def forked(folder, end_at=None, after=False):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0
    def counted(function):
        def operation(*given, **named):
            nonlocal count
            count += 1
            if count == end_at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*given, **named)
            finally:
                if count == end_at:
                    os.kill(os.getpid(), signal.SIGKILL)
        return operation
    for name in operations:
        setattr(os, name, counted(getattr(os, name)))
    os._exit(main([a.replace("RUN", folder) for a in arguments]))

assert forked(run) == 0
killed, end_at = 0, 1
while True:
    shutil.rmtree(other, ignore_errors=True)
    status = forked(other, end_at, after=bool(end_at % 2))
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
    assert forked(other) == 0, end_at
    found = differences(pathlib.Path(run), pathlib.Path(other))
    assert not found, (end_at, found)
    killed, end_at = killed + 1, end_at + 1
print(killed)
"""


def test_it_may_be_killed_at_every_single_operation_on_files(tmp_path):
    data = write_images(tmp_path / "images.npz", count=12)
    arguments = commands("RUN", data, steps=4)["autoencoder"]
    result = subprocess.run(
        [sys.executable, "-c", AT_EVERY_OPERATION, str(tmp_path / "a"), str(tmp_path / "b"),
         *map(str, ["--backend", "reference", *arguments])],
        env={**ENVIRONMENT, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.splitlines()[-1]) > 40


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_with_its_status(tmp_path, number, status):
    data, run = write_images(tmp_path / "images.npz"), tmp_path / "run"
    arguments = commands(run, data, steps=100000)["autoencoder"]
    path = run / "autoencoder" / "checkpoint.safetensors"
    with vqv2(["--backend", "reference", *arguments]) as process:
        assert await_moment(process, path.exists), process.stderr.read()
        process.send_signal(number)
        ended, _, error = finish(process)
    assert ended == status, error
    assert "stopped and saved at step" in error and "Traceback" not in error


def test_an_extraction_that_is_terminated_goes_on(tmp_path):
    data, run = write_images(tmp_path / "images.npz", count=6000), tmp_path / "run"
    stages = commands(run, data, steps=1)
    complete(["--backend", "reference", *stages["autoencoder"]])
    shutil.copytree(run, tmp_path / "undisturbed")
    complete(["--backend", "reference", "encode", tmp_path / "undisturbed"])
    begun = run / "codes.partial" / "manifest.json"
    with vqv2(["--backend", "reference", *stages["encode"]]) as process:
        assert await_moment(process, begun.exists, 0.001), process.stderr.read()
        process.send_signal(signal.SIGTERM)
        status, _, error = finish(process)
    assert status == 143 and error.endswith("vqv2: terminated\n"), error
    assert (run / "codes.partial").exists() and not (run / "codes").exists()
    complete(["--backend", "reference", *stages["encode"]])
    assert not (run / "codes.partial").exists()
    assert differences(run, tmp_path / "undisturbed") == []
