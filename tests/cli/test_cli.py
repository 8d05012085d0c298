"""The command line: a whole run, and every kind of bad input as one sentence."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

import backends
from tests.small import AUTOENCODER, write_images
from vqv2.cli.arguments import by_level
from vqv2.cli.main import COMMANDS, asked_for, main
from vqv2.errors import InputError
from vqv2.pictures import GAP, MARGIN, SHOWN_PIXELS
from vqv2.run import Run

SMALL = [
    item
    for field in (
        "image_size=16",
        "latent_sizes=4,8",
        "hidden_units=8",
        "residual_units=4",
        "codebook_size=12",
        "codebook_dimension=6",
    )
    for item in ("--set", field)
]
SMALL_PRIOR = [
    item
    for field in ("hidden_units=8", "residual_units=8", "conditioning_units=8", "layers=2")
    for item in ("--set", field)
]


def vqv2(*arguments):
    """Run the command in this process; the exit status."""
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """The one sentence with which the command line refuses."""
    assert vqv2(*arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ")
    assert "Traceback" not in error
    return error


def train(run, data, *more):
    return vqv2("train", "autoencoder", "--data", data, "--out", run, "--steps", 3, "--batch", 4,
                *SMALL, *more)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run folder, data) after all stages, made by commands."""
    folder = tmp_path_factory.mktemp("cli")
    run, data = folder / "run", write_images(folder / "images.npz")
    assert train(run, data) == 0
    assert vqv2("encode", run) == 0
    for level in ("top", "bottom"):
        attention = ["--set", "attention_layers=0"] if level == "bottom" else []
        assert vqv2("train", "prior", run, "--level", level, "--steps", 2, "--batch", 4,
                    *SMALL_PRIOR, *attention) == 0  # fmt: skip
    return run, data


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def test_sample_and_reconstruct_write_pictures(finished, tmp_path, capsys):
    run, _ = finished
    out = tmp_path / "new" / "samples.png"
    status = vqv2("sample", run, "--count", 5, "--class", 1, "--temperature", "top=1,bottom=0.5",
                  "--top-k", 4, "--top-p", 0.9, "--seed", 3, "--storage", "bfloat16",
                  "--out", out)  # fmt: skip
    assert status == 0
    with Image.open(out) as picture:
        assert picture.width == 3 * SHOWN_PIXELS + 2 * GAP + 2 * MARGIN  # six times as large
    first = out.read_bytes()
    assert vqv2("sample", run, "--count", 5, "--class", 1, "--temperature", "top=1,bottom=0.5",
                "--top-k", 4, "--top-p", 0.9, "--seed", 3, "--storage", "bfloat16",
                "--out", out) == 0  # fmt: skip
    assert out.read_bytes() == first
    assert vqv2("reconstruct", run, "--out", tmp_path / "r.png", "--count", 2) == 0
    Image.new("RGB", (30, 20), "red").save(tmp_path / "one.jpg")
    one = ("--data", tmp_path / "one.jpg", "--out", tmp_path / "one.png")
    assert vqv2("reconstruct", run, *one) == 0
    printed = capsys.readouterr().out
    assert "PSNR" in printed and "top + bottom" in printed


def test_resume_goes_on_to_more_steps(copy, capsys):
    more = ("train", "autoencoder", "--out", copy, "--resume", "--steps", 5,
            "--set", "decay_learning_rate=false")  # fmt: skip
    assert "make useless" in refused(capsys, *more)
    shutil.rmtree(copy / "codes")
    assert "seed is 0, not 3" in refused(capsys, *more, "--seed", 3)
    assert Run.open(copy).config.autoencoder.steps == 3
    assert vqv2(*more) == 0
    assert Run.open(copy).config.autoencoder.steps == 5
    assert vqv2("train", "autoencoder", "--out", copy, "--resume") == 0
    assert "all its steps already" in capsys.readouterr().out
    assert vqv2("encode", copy) == 0
    assert "another autoencoder" in refused(capsys, "sample", copy, "--count", 1, "--out", "x.png")


def test_a_run_without_a_checkpoint_may_begin_again(tmp_path, finished, capsys):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished[0] / "config.json", run)
    assert train(run, finished[1]) == 0
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(finished[0] / "config.json", again)
    assert vqv2("train", "autoencoder", "--out", again, "--resume") == 0
    assert "is not a run folder" in refused(
        capsys, "train", "autoencoder", "--out", tmp_path / "nothing", "--resume"
    )
    (tmp_path / "config.json").write_text('{"something": "else"}')
    foreign = ("train", "autoencoder", "--data", finished[1], "--out", tmp_path, *SMALL)
    assert "not the configuration" in refused(capsys, *foreign)
    assert (tmp_path / "config.json").read_text() == '{"something": "else"}'


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        vqv2("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"vqv2 {metadata.version('vqv2')}\n"


def test_info_names_backends_and_counts_parameters(capsys):
    assert vqv2("info") == 0
    printed = capsys.readouterr().out
    assert "numpy" in printed and "backend cupy" in printed and "not available" in printed
    assert vqv2("info", "--preset", "demo", "--classes", 10) == 0
    assert "conditioning stack" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "demo", "train autoencoder", "train prior", "encode",
                                     "sample", "reconstruct", "info"])  # fmt: skip
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*command.split(), "--help"])
    assert exit_.value.code == 0
    assert "examples:" in capsys.readouterr().out


def _folder(path, files):
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def _png(size=16):
    import io

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


BAD_DATA = {
    "missing": (lambda p: p / "nothing", "does not exist"),
    "empty folder": (lambda p: _folder(p / "empty", {}), "empty"),
    "no images": (lambda p: _folder(p / "texts", {"a.txt": b"text"}), "texts"),
    "only broken": (lambda p: _folder(p / "broken", {"a.png": b"", "b.jpg": b"junk"}), "broken"),
    "too small": (lambda p: _folder(p / "small", {f"{i}.png": _png(8) for i in range(3)}), "small"),
    "wrong shape": (lambda p: _array(p, np.zeros((3, 16, 16, 4), np.uint8)), "(3, 16, 16, 4)"),
    "wrong dtype": (lambda p: _array(p, np.zeros((3, 16, 16, 3), np.int32)), "int32"),
    "nan": (lambda p: _array(p, np.full((3, 16, 16, 3), np.nan)), "nan"),
    "not an array": (lambda p: _file(p / "a.npy", b"hello"), "a.npy"),
    "unknown word": (lambda p: "emojy:64", "did you mean 'emoji'"),
}


def _array(folder, array):
    np.save(folder / "a.npy", array)
    return folder / "a.npy"


def _file(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_sentence_and_leaves_nothing(name, tmp_path, capsys):
    make, message = BAD_DATA[name]
    run = tmp_path / "run"
    error = refused(capsys, "train", "autoencoder", "--data", make(tmp_path), "--out", run, *SMALL)
    assert message in error
    assert not run.exists()


def test_good_images_among_bad_ones_are_used_and_the_bad_ones_listed(tmp_path, capsys):
    rng, folder = np.random.default_rng(0), tmp_path / "mixed"
    folder.mkdir()
    modes = ["RGB", "L", "P", "RGBA", "CMYK", "1"]
    for i in range(18):
        pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
        suffix = "jpg" if modes[i % 6] == "CMYK" else "png"
        Image.fromarray(pixels).convert(modes[i % 6]).save(folder / f"{i:02}.{suffix}")
    deep = Image.fromarray(rng.integers(0, 65536, (20, 20)).astype(np.uint16))
    deep.save(folder / "sixteen-bit.png")
    whole = (folder / "00.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.png").write_bytes(b"")
    assert train(tmp_path / "run", folder) == 0
    printed = capsys.readouterr().out
    assert "2 files cannot be used" in printed
    assert "truncated.png" in printed and "zero.png" in printed


def test_wrong_arguments_are_one_sentence(finished, copy, tmp_path, capsys):
    run, data = finished
    out = tmp_path / "x.png"
    cases = {
        "no class 'dragon'": ("sample", run, "--count", 1, "--class", "dragon", "--out", out),
        "temperature": ("sample", run, "--count", 1, "--temperature", "hot", "--out", out),
        "at least 1": ("sample", run, "--count", 0, "--out", out),
        "no level 'left'": ("train", "prior", run, "--level", "left"),
        "not a run folder": ("sample", tmp_path, "--count", 1, "--out", out),
        "no preset": ("train", "autoencoder", "--data", data, "--preset", "x", "--out", out),
        "--data is missing": ("train", "autoencoder", "--out", tmp_path / "new"),
        "write field=value": ("train", "autoencoder", "--data", data, "--out", out, "--set", "a"),
        "there is no field 'a'": ("train", "autoencoder", "--data", data, "--out", out,
                                  "--set", "a=1"),
        "holds a run already": ("train", "autoencoder", "--data", data, "--out", run),
        "continue it with --resume": ("train", "prior", run, "--level", "top"),
        "only dropout, ": ("train", "prior", run, "--level", "top", "--resume", "--batch", 3),
        "--seed -1": ("sample", run, "--count", 1, "--seed", -1, "--out", out),
        "--count 0": ("reconstruct", run, "--count", 0, "--out", out),
        "names no file": ("sample", run, "--count", 1, "--out", ""),
        "batch 0": ("sample", run, "--count", 1, "--batch", 0, "--out", out),
        "attention_heads=0": ("train", "prior", copy, "--level", "left", "--level", "bottom",
                              "--set", "attention_heads=0"),
        "steps=0": ("train", "prior", run, "--level", "top", "--resume", "--steps", 0),
    }  # fmt: skip
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    for message, arguments in cases.items():
        assert message in refused(capsys, *arguments), message
    assert not out.exists()
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_damaged_and_foreign_checkpoints(copy, capsys, tmp_path):
    path = copy / "autoencoder" / "checkpoint.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(capsys, "sample", copy, "--count", 1, "--out", tmp_path / "x.png")
    path.write_bytes(b"PK\x03\x04 something else")
    assert "damaged" in refused(capsys, "encode", copy)
    path.unlink()
    assert "train first" in refused(capsys, "encode", copy)


def test_other_data_with_other_classes_is_refused(copy, tmp_path, capsys):
    other = write_images(tmp_path / "other.npz", classes=2)
    assert "the run was made for 0, 1, 2" in refused(capsys, "encode", copy, "--data", other)


@pytest.mark.parametrize("command", [("sample", "--count", 1), ("reconstruct", "--count", 1)])
def test_an_output_that_cannot_be_written_is_known_before_the_work(
    finished, tmp_path, capsys, command
):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    name, *more = command
    error = refused(capsys, name, finished[0], *more, "--out", blocked / "x.png")
    assert "cannot write" in error and str(blocked / "x.png") in error
    assert vqv2(name, finished[0], *more, "--out", tmp_path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1  # no progress bar was shown


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_files_are_listed_whatever_their_names(tmp_path):
    (tmp_path / "images").mkdir()
    for name in (b"bad\xff.png", "\u96ea.png".encode()):
        with open(os.path.join(os.fsencode(tmp_path), b"images", name), "wb"):
            pass
    for i in range(8):
        (tmp_path / "images" / f"{i}.png").write_bytes(_png())
    arguments = ["--data", "images", "--out", "run", "--steps", "1", "--batch", "2", *SMALL]
    for encoding in ("utf-8:strict", "ascii:strict"):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        result = subprocess.run(
            [sys.executable, "-m", "vqv2", "train", "autoencoder", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr.decode()
        assert b"images/bad\\udcff.png: the file is empty" in result.stdout


def test_a_backend_that_is_not_there_is_one_sentence(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "vqv2", "demo", "--out", str(tmp_path / "demo")],
        env={**os.environ, "VQV2_BACKEND": "cupy"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("vqv2: ") and len(result.stderr.splitlines()) == 1


def test_importing_is_light():
    heavy = "('numba', 'cupy', 'matplotlib', 'fontTools')"
    code = f"import sys, vqv2.cli; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_config_json_is_for_people(finished):
    content = json.loads((finished[0] / "config.json").read_text())
    assert content["config"]["autoencoder"]["hidden_units"] == 8
    assert content["config"]["autoencoder"]["layers"] == AUTOENCODER.layers + 1


def test_the_backend_is_chosen_for_one_command(capsys, monkeypatch):
    monkeypatch.setattr(backends.kernel, "why_no_device", lambda: "no device here")
    former = backends.current()
    other = "numba" if former == "reference" else "reference"
    for command in (("--backend", other, "info"), ("info", "--backend", other)):
        assert vqv2(*command) == 0
        assert f"backend {other:10} selected" in capsys.readouterr().out
        assert backends.current() == former
    assert vqv2("--backend", "cupy", "info") == 2
    assert capsys.readouterr().err == "vqv2: no device here\n"
    assert backends.current() == former


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("tarin autoencoder", "there is no 'tarin' among demo, data, train, "),
        ("tarin autoencoder", ", did you mean 'train'?"),
        ("train autoencodr", "among autoencoder, prior, classifier, did you mean 'autoencoder'?"),
        ("info --backend refrence", "did you mean 'reference'?"),
        ("info --clases=3", "vqv2 info: error: unrecognized arguments: --clases=3 (--clases, did "),
        ("info --clases=3", "did you mean '--classes'?)"),
        ("train prior x --levle top", "are required: --level (--levle, did you mean '--level'?)"),
        ("--bakend reference info", "(--bakend, did you mean '--backend'?)"),
        ("info xyzzy", "unrecognized arguments: xyzzy\n"),
    ],
)  # fmt: skip
def test_a_mistyped_word_gets_its_neighbour(command, words, capsys):
    with pytest.raises(SystemExit) as refused:
        vqv2(*command.split())
    assert refused.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample nowhere --count 1", "reconstruct nowhere"])
def test_a_picture_is_not_written_under_the_name_of_an_array(tmp_path, capsys, command):
    out = tmp_path / "samples.npy"
    assert main([*command.split(), "--out", str(out)]) == 2
    assert "the name must end in .png" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("text", ["top=1,top=2", "1,2", "top=", "top=1=2", ""])
def test_values_by_level_that_cannot_be_read_are_refused(text):
    with pytest.raises(InputError, match="--temperature .* cannot be read"):
        by_level(text, float, "temperature")
    assert by_level("top=0.9, bottom=1", float, "temperature") == {"top": 0.9, "bottom": 1.0}


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (["config", "list"], ["config"]),
        (["--backend", "reference", "config"], ["config"]),
        (["--help", "config"], COMMANDS),  # which lists all of them
        (["--backend=numba", "config"], COMMANDS),
        (["confg"], COMMANDS),  # to say which there are, and which is near
        ([], COMMANDS),
    ],
)
def test_only_the_command_that_is_plain_to_see_is_imported(words, commands):
    assert list(asked_for(words)) == list(commands)
