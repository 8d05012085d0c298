"""Whatever happens to a file: one sentence, or the same result as before; no exception, no hang.

    VQV2_SEED=7 pytest tests/test_damaged_files.py          other damage than with seed 0
    pytest --slow tests/test_damaged_files.py               nine thousand mutants

A failure names the seed and the number of the mutant, which together make it again.
"""

import contextlib
import io
import json
import os
import shutil
import signal

import numpy as np
import pytest

import backends
from tests import mutants
from tests.lab.evaluation.test_vgg import SMALL, random_arrays
from tests.small import train_all, write_fashion_mnist
from vqv2.cli.main import main
from vqv2.data import index as index_module
from vqv2.errors import InputError
from vqv2.files.opening import seal
from vqv2.lab.evaluation.vgg import VGG16, load_weights
from vqv2.run import checkpoint
from vqv2.training import Schedule

SEED = int(os.environ.get("VQV2_SEED", 0))
PATIENCE = 120  # seconds for one command, which takes a fraction of one: a hang, whatever the load
COMMANDS = {
    "encode": "encode RUN --resume",
    "encode anew": "encode RUN",
    "evaluate": "evaluate RUN --only training,usage --out OUT/evaluation",
    "export": "export RUN --out OUT/weights.safetensors",
    "top": "train prior RUN --level top --resume",
    "bottom": "train prior RUN --level bottom --resume --steps 6",
    "autoencoder": "train autoencoder --out RUN --resume",
    "verify": "data verify RUN",
}
COMPARED = {
    "samples.npz": "sample RUN --count 2 --out OUT/samples.npz",
    "reconstructions.png": "reconstruct RUN --count 2 --out OUT/reconstructions.png",
}

OTHERS = sorted(COMMANDS.keys() - {"evaluate"})


class Hang(BaseException):
    """A command that has not ended."""


@pytest.fixture(autouse=True, scope="module")
def readable_kernels():
    """Nothing here depends on the backend, and these need no compilation."""
    with backends.use("reference"):
        yield


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A folder with a whole run, evaluated, and every other kind of file that can be given."""
    folder = tmp_path_factory.mktemp("pristine")
    train_all(folder, Schedule(progress=False, validate_every=3, log_every=2))
    data = str(folder / "images.npz")
    config = folder / "run" / "config.json"
    config.write_text(config.read_text().replace('"images.npz"', json.dumps(data)))
    for command in (COMMANDS["evaluate"], *COMPARED.values(), COMMANDS["export"]):
        assert run(command, folder, folder)[0] == 0
    shutil.move(folder / "evaluation", folder / "run" / "evaluation")
    return folder


def run(command, folder, out):
    """(status, what was said on standard error) of a command on RUN in `folder`."""
    words = command.split()
    words = [word.replace("RUN", f"{folder}/run").replace("OUT", str(out)) for word in words]
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        return main(words), said.getvalue()


def refused_or_done(command, folder, out):
    """Whether a command did its work; fails for anything but that and one sentence."""
    status, said = run(command, folder, out)
    assert status in ((0, 1) if command.startswith("doctor") else (0, 2)), said
    assert status != 2 or said.splitlines()[-1].startswith("vqv2: "), said
    assert "Traceback" not in said and "not enough memory" not in said
    assert all(len(line) < 2000 for line in said.splitlines()), said
    return status == 0


@pytest.fixture
def no_hang():
    """Ends a command that does not end."""

    def hang(number, frame):
        raise Hang

    former = signal.signal(signal.SIGALRM, hang)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


def each(request, count):
    """Yields (number, generator) for as many mutants as there is time for."""
    count *= 20 if request.config.getoption("--slow") else 1
    for number in range(count):
        signal.alarm(PATIENCE)
        try:
            yield number, np.random.default_rng((SEED, number))
        finally:
            signal.alarm(0)


@contextlib.contextmanager
def named(number, what):
    """Whatever goes wrong inside says of which mutant."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"mutant {number} of seed {SEED}: {what}")
        raise


def files_of(folder):
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.relative_to(folder) for path in paths if path.name != ".lock"]


def mutated(path, rng, others):
    """Change a file; a sentence about what was done to it."""
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl") and rng.integers(3):
        content, what = mutants.forged(content, rng)
    elif rng.integers(20) == 0:
        return _replaced(path, rng)
    else:
        content, what = mutants.damaged(content, rng, others)
    path.unlink()  # another name of the same file stays as it is
    path.write_bytes(content)
    return what


def _replaced(path, rng):
    """Something else in the place of a file."""
    path.unlink()
    kind = rng.integers(5)
    if kind == 0:
        return "missing"
    if kind == 1:
        path.mkdir()
        return "a folder"
    if kind == 2:
        os.mkfifo(path)
        return "a FIFO"
    target = ("/dev/zero", path.name)[kind - 3]
    path.symlink_to(target)
    return f"a link to {target}"


def check_run(number, what, work, pristine, rng):
    """The commands on a run in `work`: refused, or done with the results of the pristine one."""
    out = work / "out"
    with named(number, what):
        refused_or_done("doctor RUN" + " --quick" * int(rng.integers(2)), work, out)
        name = sorted(COMPARED)[rng.integers(len(COMPARED))]
        if refused_or_done(COMPARED[name], work, out):
            assert same(out / name, pristine / name), f"{name} changed in silence"
        another_command(number, work, rng)


def another_command(number, work, rng):
    """One of the others; the one that takes a second is seldom drawn."""
    command = "evaluate" if rng.integers(20) == 0 else OTHERS[rng.integers(len(OTHERS))]
    with named(number, command):
        refused_or_done(COMMANDS[command], work, work / "out")


def same(path, other):
    if path.suffix == ".png":
        return path.read_bytes() == other.read_bytes()
    with np.load(path) as one, np.load(other) as two:
        return all(np.array_equal(one[name], two[name]) for name in two.files)


def anew(work, pristine):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(pristine / "run", work / "run")


def test_a_damaged_run(request, pristine, tmp_path, no_hang):
    files = files_of(pristine / "run")
    contents = [(pristine / "run" / path).read_bytes() for path in files]
    for number, rng in each(request, 60):
        anew(tmp_path / "w", pristine)
        path = files[rng.integers(len(files))]
        what = mutated(tmp_path / "w" / "run" / path, rng, contents)
        check_run(number, f"{path}: {what}", tmp_path / "w", pristine, rng)


def test_a_forged_run(request, pristine, tmp_path, no_hang):
    """Values that nobody writes, under a seal that is right: refused, or no matter."""
    for number, rng in each(request, 30):
        anew(tmp_path / "w", pristine)
        folder = tmp_path / "w" / "run"
        manifest = folder / "codes" / "manifest.json"
        if rng.integers(2):
            content, what = mutants.with_another_value(json.loads(manifest.read_text()), rng)
            with contextlib.suppress(ValueError):  # a number that Python does not print
                manifest.write_text(json.dumps({**content, "checksum": seal(content)}))
        else:
            stage = ("autoencoder", "prior-top", "prior-bottom")[rng.integers(3)]
            path = folder / stage / "checkpoint.safetensors"
            arrays, metadata = checkpoint.load(path)
            metadata, what = mutants.with_another_value(metadata, rng)
            checkpoint.save(path, arrays, metadata)
            what = f"{stage}: {what}"
        with named(number, what):
            for command in ("doctor RUN", *COMPARED.values()):
                refused_or_done(command, tmp_path / "w", tmp_path / "w" / "out")
            another_command(number, tmp_path / "w", rng)


@pytest.fixture(scope="module")
def given(pristine):
    """{path in `pristine`: the command that reads it}, of files that a user gives."""
    with np.load(pristine / "images.npz") as archive:
        np.save(pristine / "images.npy", archive["images"])
        np.savez_compressed(pristine / "packed.npz", **archive)
    (pristine / "mnist").mkdir()
    write_fashion_mnist(pristine / "mnist")
    (pristine / "a.toml").write_text("[autoencoder]\nbatch = 4\n[prior.top]\ndropout = 0.2\n")
    preview = "data preview {} --size 8 --count 2 --out OUT/p.png"
    idx = preview.replace("{} --size 8", "fashion-mnist:OUT --size 32")
    return {
        "images.npy": preview,
        "images.npz": preview,
        "packed.npz": preview,
        "a.toml": "config show demo --config {}",
        "weights.safetensors": f"import {{}} --data {pristine}/images.npz --out OUT/imported",
        **{f"mnist/{path.name}": idx for path in (pristine / "mnist").iterdir()},
    }


def test_a_damaged_file_that_is_given(request, pristine, given, tmp_path, no_hang):
    paths = sorted(given)
    contents = [(pristine / path).read_bytes() for path in paths]
    for number, rng in each(request, 200):
        path = paths[rng.integers(len(paths))]
        out = tmp_path / str(number)
        shutil.copytree(pristine / "mnist", out)
        copy = out / path.rpartition("/")[2]
        copy.write_bytes((pristine / path).read_bytes())
        what = mutated(copy, rng, contents)
        with named(number, f"{path}: {what}"):
            refused_or_done(given[path].format(copy), tmp_path, out)
        shutil.rmtree(out)


def test_damaged_weights_of_vgg(request, tmp_path, no_hang):
    from safetensors.numpy import save_file

    path, model = tmp_path / "vgg.safetensors", VGG16(np.random.default_rng(0), SMALL)
    save_file(random_arrays(np.random.default_rng(0)), path)
    content = path.read_bytes()
    for number, rng in each(request, 100):
        path.write_bytes(content)
        what = mutated(path, rng, [])
        with named(number, what), contextlib.suppress(InputError):
            load_weights(model, path, SMALL)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.filterwarnings("ignore:the index of")  # where it cannot be kept, that is said
def test_a_damaged_index_of_a_folder_is_made_again(
    request, pristine, tmp_path, monkeypatch, no_hang
):
    folder, cache = tmp_path / "images", tmp_path / "cache"
    folder.mkdir()
    for number in range(3):
        shutil.copy(pristine / "reconstructions.png", folder / f"{number}.png")
    monkeypatch.setattr(index_module, "KEPT_FROM", 1)
    monkeypatch.setenv("VQV2_CACHE", str(cache))
    index_module.open_index(folder, progress=False)
    path = index_module.index_file(folder)
    content = path.read_bytes()
    for number, rng in each(request, 60):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        what = mutated(path, rng, [])
        with named(number, what):
            index = index_module.open_index(folder, progress=False)
            assert list(index.listing.paths()) == ["0.png", "1.png", "2.png"]
            assert (index.width > 0).all() and len(set(index.width.tolist())) == 1
        shutil.rmtree(path.parent)
