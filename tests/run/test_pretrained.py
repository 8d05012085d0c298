"""Compact runs, and those that come with vqv2 by name: found, read by all, written to by none."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from backends.precision import rounded
from tests.small import train_all
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation.rounding import Rounding
from vqv2.run import Run, checkpoint, pretrained
from vqv2.run.compact import compact
from vqv2.training import Schedule

SECTIONS = (
    *("Data and licence", "Configuration", "How it was trained", "Figures"),
    "What it cannot do",
)
CARD = "# Noise of three kinds\n\n" + "".join(f"## {title}\n\nNone.\n\n" for title in SECTIONS)
LARGEST = 12e6, 25e6  # bytes, of each and of all
FEW = ("--images", 8, "--samples", 6, "--per-class", 1, "--shown", 2, "--repetitions", 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run, _ = train_all(folder, Schedule(progress=False))
    run.data = str(folder / "images.npz")
    run.save()
    return run


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """A folder of hierarchies as that in the package, with one that is called small."""
    folder = tmp_path_factory.mktemp("pretrained")
    compact(trained, folder / "small")
    (folder / "small" / pretrained.CARD).write_text(CARD)
    return folder


@pytest.fixture
def shipped(made, tmp_path, monkeypatch):
    """The folder of "small", which comes with vqv2 in this test; what is in it must stay."""
    monkeypatch.setattr(pretrained, "FOLDER", made)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = contents(made)
    yield made / "small"
    assert contents(made) == before


def contents(folder):
    return {
        path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))
    }


def vqv2(*arguments):
    return main(["--backend", "reference", *map(str, arguments)])


def test_a_compact_run_has_the_rounded_weights_and_an_identity_of_its_own(trained, made):
    former, hierarchy = Hierarchy.load(trained.folder), Hierarchy.load(made / "small")
    assert hierarchy.identity not in ("", former.identity)
    models = {"autoencoder": (former.autoencoder, hierarchy.autoencoder)}
    models |= {level: (former.priors[level], hierarchy.priors[level]) for level in former.levels}
    for one, other in models.values():
        state, parameters = other.state(), one.parameters()
        for name, array in one.state().items():
            expected = rounded(array, "bfloat16") if name in parameters else array
            np.testing.assert_array_equal(state[name], expected, name)
            assert state[name].dtype == array.dtype
    config, metadata = hierarchy.config, {}
    assert config == former.config and hierarchy.class_names == former.class_names
    assert hierarchy.learned.tolist() == [0, 1, 2]
    assert not list((made / "small").rglob("*.npy"))
    for stage in trained.stages:
        path = made / "small" / stage / "checkpoint.safetensors"
        metadata[stage] = checkpoint.read_metadata(path)
        large = trained.checkpoint_path(stage)
        assert path.stat().st_size < large.stat().st_size / 3
        assert metadata[stage]["compacted"] == checkpoint.digest(large)
        assert set(checkpoint.load(path)[0]) == {f"average.{n}" for n in models_of(stage, models)}
    assert metadata["prior-top"]["autoencoder"] == hierarchy.identity
    text = "".join(path.read_text("latin-1") for path in made.rglob("*") if path.is_file())
    assert str(trained.folder) not in text


def models_of(stage, models):
    return models[stage.removeprefix("prior-")][1].state()


def test_the_rule_that_binds_a_prior_to_its_autoencoder_stays(trained, made, tmp_path):
    copy = shutil.copytree(made / "small", tmp_path / "copy")
    (copy / "prior-top").rename(tmp_path / "top")
    shutil.copytree(trained.folder / "prior-top", copy / "prior-top")
    with pytest.raises(InputError, match="learned the codes of another autoencoder"):
        Hierarchy.load(copy)
    back = shutil.copytree(trained.folder, tmp_path / "back")
    shutil.copytree(tmp_path / "top", back / "prior-top", dirs_exist_ok=True)
    with pytest.raises(InputError, match="learned the codes of another autoencoder"):
        Hierarchy.load(back)


def test_figures_that_rounding_spoils_are_said(trained, tmp_path, capsys, monkeypatch):
    def coarse(*_, **__):
        return Rounding({("top",): (20.0, 19.8)}, {"top": (2.0, 2.0)}, {"top": 0.5})

    monkeypatch.setattr("vqv2.cli.compact.measure_rounding", coarse)
    assert vqv2("compact", trained.folder, "--out", tmp_path / "small") == 2
    captured = capsys.readouterr()
    assert "50.00% of the top codes" in captured.out and "costs more than 0.1 dB" in captured.err
    assert vqv2("compact", trained.folder, "--out", tmp_path / "other", "--unmeasured") == 0


def test_compacting_again_changes_nothing_and_replaces_nothing(shipped, tmp_path, capsys):
    assert vqv2("compact", "small", "--out", tmp_path / "again") == 0
    printed = capsys.readouterr().out
    assert "rounding changes 0.00% of the top codes, 0.00% of the bottom codes" in printed
    former, again = Hierarchy.load("small"), Hierarchy.load(tmp_path / "again")
    assert again.identity == former.identity
    assert again.prior_identities == former.prior_identities
    assert vqv2("compact", "small", "--out", tmp_path / "again") == 2
    assert "config.json exists: choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize("best", [False, True])
def test_the_best_priors_are_kept_where_they_are_asked_for(trained, tmp_path, best):
    run = Run.open(shutil.copytree(trained.folder, tmp_path / "run"))
    folder = run.stage_folder("prior-top")
    arrays, metadata = checkpoint.load(folder / "best.safetensors")
    name = next(name for name in arrays if name.startswith("average.") and arrays[name].ndim == 2)
    arrays[name] = arrays[name] + 1  # what a prior was before it over-fitted
    (folder / "best.safetensors").unlink()
    checkpoint.save(folder / "best.safetensors", arrays, metadata)
    other = metadata["best"] | {"step": metadata["step"] - 1}
    newest = checkpoint.load(folder / "checkpoint.safetensors")[0]
    checkpoint.save(folder / "checkpoint.safetensors", newest, metadata | {"best": other})
    compact(run, tmp_path / "small", best=best)
    kept = Hierarchy.load(tmp_path / "small").priors["top"].state()
    expected = (arrays if best else newest)[name]
    np.testing.assert_array_equal(kept[name.partition(".")[2]], rounded(expected, "bfloat16"))
    if best:
        Hierarchy.load(tmp_path / "small", best=True)
    else:
        with pytest.raises(InputError, match="is not the checkpoint of the lowest held-out loss"):
            Hierarchy.load(tmp_path / "small", best=True)


@pytest.mark.parametrize(
    ("command", "left", "said"),
    [
        (("sample", "small", "--count", 4, "--class", 1), ["samples.png"], "4 samples in samples"),
        (("reconstruct", "small", "--out", "a.png"), ["a.png"], "PSNR"),
        (
            ("evaluate", "small", "--only", "usage,samples", *FEW),
            ["small-evaluation"],
            "Open small",
        ),
        (("export", "small", "--out", "a.safetensors"), ["a.safetensors"], "parameters in"),
        (("doctor", "small"), [], "nothing is left to do"),
        (("pretrained",), [], "Noise of three kinds"),
        (("pretrained", "small"), [], CARD.rstrip()),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_name_is_taken_where_a_run_is(shipped, capsys, command, left, said):
    assert vqv2(*command) == 0
    captured = capsys.readouterr()
    assert said in captured.out and "vqv2:" not in captured.err
    assert [path.name for path in Path().iterdir()] == left


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("encode", "small"), "small comes with vqv2, and nothing is written into it"),
        (("train", "prior", "small", "--level", "top"), "begin a run of your own with its weights"),
        (("train", "prior", "small", "--level", "top", "--resume"), "--from small --data DATA"),
        (("train", "autoencoder", "--out", "small", "--resume"), "small is not a run folder"),
        (("sample", "smal"), "with vqv2, did you mean 'small'? (there is small): train an"),
        (("sample", "./small"), "small is not a run folder (it has no config.json): train"),
        (("pretrained", "smal"), "did you mean 'small'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_with_a_name_says_what_can(shipped, capsys, command, said):
    assert vqv2(*command) == 2
    assert said in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_folder_of_that_name_wins_and_a_sentence_says_so(shipped):
    shutil.copytree(shipped, "small")
    shutil.rmtree("small/prior-bottom")
    with pytest.warns(UserWarning, match="not the hierarchy of that name that comes with vqv2"):
        assert set(Hierarchy.load("small").priors) == {"top"}
    with warnings.catch_warnings(action="error"):
        assert set(Hierarchy.load("./small").priors) == {"top"}
    with pytest.warns(UserWarning, match="the folder small is taken, not the hierarchy"):
        assert vqv2("sample", "small", "--level", "top") == 0


def test_a_compact_run_is_not_trained_further_but_begun_from(shipped, trained, tmp_path, capsys):
    own = shutil.copytree(shipped, tmp_path / "own")
    for command in (
        ("train", "autoencoder", "--out", own, "--resume"),
        ("train", "prior", own, "--level", "top"),
        ("train", "prior", own, "--level", "top", "--resume"),
    ):
        assert vqv2(*command) == 2
        assert f"further: begin a training of your own with them, `vqv2 train {command[1]}" in (
            capsys.readouterr().err
        )
    data = ("--data", trained.data, "--steps", 1)
    assert vqv2("train", "autoencoder", "--from", "small", *data, "--out", "mine") == 0
    assert vqv2("encode", "mine") == 0
    prior = ("train", "prior", "mine", "--level", "top", "--from", "small", "--steps", 1)
    assert vqv2(*prior) == 0
    assert vqv2(*prior, "--resume") == 0  # the same command again
    for stage in ("autoencoder", "prior-top"):
        origin = json.loads((tmp_path / "here/mine" / stage / "training.json").read_text())["from"]
        assert origin["run"] == "small"
        assert origin["identity"] == checkpoint.digest(shipped / stage / "checkpoint.safetensors")
    capsys.readouterr()
    assert vqv2("doctor", "mine") == 0
    assert "began with the weights of small, step 6" in capsys.readouterr().out


@pytest.mark.parametrize("name", pretrained.names())
def test_what_comes_with_vqv2_is_complete(name):
    folder = pretrained.FOLDER / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LARGEST[0]
    heading, *rest = pretrained.card(name).splitlines()
    assert heading.startswith("# ")
    assert [line[3:] for line in rest if line.startswith("## ")] == list(SECTIONS)
    hierarchy = Hierarchy.load(name)
    assert set(hierarchy.priors) == set(hierarchy.levels)
    images = hierarchy.sample(2, seed=1)
    assert np.isfinite(images).all() and images.std() > 0.05


def test_all_that_comes_with_vqv2_is_small():
    paths = [path for path in pretrained.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) <= LARGEST[1]
    assert {path.suffix for path in paths} <= {".md", ".json", ".safetensors"}
