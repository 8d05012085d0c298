"""`vqv2 evaluate` on a tiny run: every figure, picture and page, and what was measured before."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import pipeline
from vqv2.cli.main import main
from vqv2.config import Config
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation import unigram_nats
from vqv2.lab.report.sections import EVALUATIONS, NEED_PRIORS
from vqv2.run import Run
from vqv2.run.codes import open_codes
from vqv2.training import Schedule
from vqv2.training.prior import evaluate_prior

QUIET = Schedule(progress=False)
FEW = ("--samples", 9, "--swept", 4, "--shown", 3, "--per-class", 2, "--repetitions", 1)


def vqv2(*arguments):
    """The exit status of the command."""
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder with everything trained for a few steps."""
    folder = tmp_path_factory.mktemp("evaluated")
    data = write_images(folder / "images.npz", count=120)
    sources = pipeline.open_splits(data, AUTOENCODER)
    run = Run.new(folder / "run", CONFIG, sources["train"].class_names, data)
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    for level in run.config.levels:
        pipeline.train_prior(run, level, schedule=QUIET)
    return run


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """The folder that an evaluation of everything leaves."""
    folder = tmp_path_factory.mktemp("evaluation")
    assert vqv2("evaluate", trained.folder, "--out", folder, *FEW) == 0
    return folder


def figures(folder):
    return json.loads((folder / "evaluation.json").read_text())["evaluations"]


def test_everything_is_measured_shown_and_on_one_page(evaluated):
    found = figures(evaluated)
    assert list(found) == list(EVALUATIONS)
    pictures = list(evaluated.glob("*.png"))
    assert len(pictures) == 12
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 60, path
    page = (evaluated / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "http" not in page.replace("http-equiv", "")
    for heading in ("Samples", "Reconstructions", "Distortion", "Codebooks", "Training", "Fidelity",
                    "Nearest training images", "Time to sample"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page


def test_rates_and_usage_are_those_of_the_codes_on_disk(trained, evaluated):
    found = figures(evaluated)
    store = open_codes(trained.codes_folder)
    autoencoder, identity = trained.load_autoencoder()
    for level, numbers in (("top", 16), ("bottom", 64)):
        prior = trained.load_prior(level, identity)
        for split in ("train", "held_out"):
            rate = found["rate-distortion"]["rate"][split][level]
            nats = evaluate_prior(prior, store, level, split)
            assert rate["nats_per_code"] == pytest.approx(nats, rel=1e-5)
            assert rate["bits_per_image"] == pytest.approx(nats / np.log(2) * numbers, rel=1e-5)
            assert rate["bits_per_dim"] * 16 * 16 * 3 == pytest.approx(rate["bits_per_image"])
            counts = np.bincount(store.codes(split, level)[:].reshape(-1), minlength=12)
            assert found["usage"]["levels"][level][split]["counts"] == counts.tolist()
        codes = [store.codes(split, level) for split in ("train", "held_out")]
        unigram = found["rate-distortion"]["baselines"][level]["unigram"]
        assert unigram == pytest.approx(unigram_nats(*codes, 12))


def test_distortion_is_that_of_the_decoded_images(trained, evaluated):
    source = pipeline.open_splits(trained.data, AUTOENCODER)["held_out"]
    images = source.batch(np.arange(len(source)))
    autoencoder, _ = trained.load_autoencoder()
    codes = autoencoder.encode(images)
    found = figures(evaluated)["rate-distortion"]["distortion"]["held_out"]
    for levels in (["top"], ["top", "bottom"]):
        mse = ((autoencoder.decode(codes, levels).astype(float) - images) ** 2).mean()
        assert found[" + ".join(levels)]["mse"] == pytest.approx(mse, rel=1e-5)


def test_neighbours_are_training_images_in_order(trained, evaluated):
    for network in figures(evaluated)["neighbours"]["networks"]:
        assert network["samples"]["least"] <= network["samples"]["median"]
        for places in network["neighbours"].values():
            assert len(set(places)) == 6
            assert max(places) < len(pipeline.open_splits(trained.data, AUTOENCODER)["train"])


def test_only_some_are_measured_anew_and_the_others_stay_on_the_page(trained, evaluated, tmp_path,
                                                                     capsys):  # fmt: skip
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluated, folder)
    before = figures(folder)
    assert vqv2("evaluate", trained.folder, "--out", folder, "--only", "usage",
                "--images", 20) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "Codebooks" in printed and "Distortion" not in printed
    after = figures(folder)
    assert after["usage"] != before.pop("usage")
    assert {name: after[name] for name in before} == before
    assert sum(after["usage"]["levels"]["top"]["train"]["counts"]) == 20 * 16
    assert "<h2>Fidelity</h2>" in (folder / "report.html").read_text()


def test_figures_of_another_model_do_not_stay(trained, evaluated, tmp_path, capsys):
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluated, folder)
    content = json.loads((folder / "evaluation.json").read_text())
    content["model"]["top"] = "another"
    (folder / "evaluation.json").write_text(json.dumps(content))
    assert vqv2("evaluate", trained.folder, "--out", folder, "--only", "usage") == 0
    assert "another model" in capsys.readouterr().out
    assert list(figures(folder)) == ["usage"]


def test_without_all_priors_the_rest_is_measured(trained, tmp_path, capsys):
    shutil.copytree(trained.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "prior-bottom")
    assert vqv2("evaluate", tmp_path / "run", *FEW) == 0
    assert "left out are samples, neighbours" in capsys.readouterr().out
    found = figures(tmp_path / "run" / "evaluation")
    assert set(found) == set(EVALUATIONS) - set(NEED_PRIORS)
    assert set(found["rate-distortion"]["rate"]["train"]) == {"top"}


def test_a_run_of_one_level_without_classes(tmp_path):
    autoencoder = dataclasses.replace(AUTOENCODER, latent_sizes=(4,), channels=1, steps=2)
    prior = dataclasses.replace(CONFIG.priors[0], steps=2)
    config = Config("plain", autoencoder, (prior,), conditional=False)
    data = write_images(tmp_path / "images.npz", count=12)
    sources = pipeline.open_splits(data, autoencoder)
    run = Run.new(tmp_path / "run", config, (), data)
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    pipeline.train_prior(run, "top", schedule=QUIET)
    assert vqv2("evaluate", run.folder, "--features", "pixels", *FEW) == 0
    found = figures(run.folder / "evaluation")
    assert list(found) == list(EVALUATIONS)
    assert found["fidelity"]["networks"] == []  # a single image is held out
    assert "1 held out. Too few" in (run.folder / "evaluation" / "report.html").read_text()


def test_few_images_leave_evaluations_out_and_the_page_whole(trained, tmp_path, capsys):
    folder = tmp_path / "evaluation"
    names = "rate-distortion,fidelity,quality"
    few = ("--only", names, "--out", folder, *FEW, "--images", 2)
    assert vqv2("evaluate", trained.folder, *few) == 0
    page = (folder / "report.html").read_text()
    assert "<h2>Distortion</h2>" in page and page.count("Too few") == 2
    assert figures(folder)["quality"]["rows"] == []
    assert capsys.readouterr().out.count("Too few") == 2


def test_what_cannot_be_measured_is_named_and_the_page_has_the_rest(
    trained, tmp_path, capsys, monkeypatch
):
    def refuse(subject):
        raise InputError("no nearest others")

    monkeypatch.setattr(EVALUATIONS["quality"], "measure", refuse)
    folder = tmp_path / "evaluation"
    names = "quality,usage,training"
    assert vqv2("evaluate", trained.folder, "--only", names, "--out", folder) == 2
    printed, error = capsys.readouterr()
    assert error.strip().endswith(
        "vqv2: not measured: quality: no nearest others (--only usage,training leaves it out)"
    )
    assert "Codebooks" in printed and list(figures(folder)) == ["usage", "training"]
    assert "<h2>Codebooks</h2>" in (folder / "report.html").read_text()
    assert vqv2("evaluate", trained.folder, "--only", "quality", "--out", tmp_path / "new") == 2
    assert (
        capsys.readouterr().err.strip().endswith("vqv2: not measured: quality: no nearest others")
    )


def test_figures_of_other_images_of_the_same_name_and_number_do_not_stay(trained, tmp_path, capsys):
    rng = np.random.default_rng(1)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "images.npz"
        np.savez(path, images=rng.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8),
                 labels=np.arange(9) % 3)  # fmt: skip
    common = ("evaluate", trained.folder, "--out", tmp_path / "evaluation")
    for folder, name, found in (
        ("one", "usage", ["usage"]),
        ("one", "training", ["usage", "training"]),
        ("two", "training", ["training"]),
    ):
        held_out = ("--held-out", tmp_path / folder / "images.npz")
        assert vqv2(*common, *held_out, "--only", name) == 0
        assert list(figures(tmp_path / "evaluation")) == found
    assert "other images: its figures are replaced" in capsys.readouterr().out


def test_other_images_can_be_held_out(trained, tmp_path):
    other = write_images(tmp_path / "other.npz", count=9)
    folder = tmp_path / "evaluation"
    assert vqv2("evaluate", trained.folder, "--held-out", other, "--out", folder,
                "--only", "rate-distortion") == 0  # fmt: skip
    assert figures(folder)["rate-distortion"]["images"]["held_out"] == 9


def test_images_that_come_out_exactly_and_are_all_alike(trained, tmp_path, capsys, monkeypatch):
    decode = Hierarchy.decode
    monkeypatch.setattr(Hierarchy, "decode", lambda *given: 0 * decode(*given))
    path = tmp_path / "black.npz"
    np.savez(path, images=np.zeros((24, 16, 16, 3), np.uint8), labels=np.arange(24) % 3)
    common = ("evaluate", trained.folder, "--data", path, "--out", tmp_path, *FEW)
    assert vqv2(*common, "--only", "rate-distortion,quality") == 0
    assert vqv2(*common, "--only", "usage") == 0  # and the others from the file
    text = (tmp_path / "evaluation.json").read_text()
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    found = found["evaluations"]
    exact = {"mse": 0.0, "psnr": None}
    assert found["rate-distortion"]["distortion"]["train"] == {"top": exact, "top + bottom": exact}
    assert {row["distance"] for row in found["quality"]["rows"]} == {None}
    assert "top + bottom 0.00000 0.00000 inf inf" in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Codebooks</h2>" in page and page.count(">inf</td>") == 4 and ">nan<" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "everything"], "choose from samples, reconstructions"),
        (["--samples", 0], "--samples 0 must be at least 1"),
        (["--features", "vgg16"], "there are no features 'vgg16'"),
        (["--features", "vgg16:none.safetensors"], "none.safetensors cannot be read"),
        (["--features", "layer:nothing"], "there is no layer 'nothing'"),
        (["--temperature", "top=1"], "the levels are top, bottom"),
        (["--temperatures", "warm"], "write numbers"),
        (["--temperatures", "-1"], "temperature -1.0"),
        (["--data", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(trained, tmp_path, capsys, arguments, message):
    assert vqv2("evaluate", trained.folder, "--out", tmp_path / "new", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert not (tmp_path / "new").exists()


def test_figures_of_another_version_are_named(trained, evaluated, tmp_path, capsys):
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluated, folder)
    content = json.loads((folder / "evaluation.json").read_text())
    del content["evaluations"]["fidelity"]["count"]
    (folder / "evaluation.json").write_text(json.dumps(content))
    assert vqv2("evaluate", trained.folder, "--out", folder, "--only", "usage") == 2
    assert "evaluation.json lacks figures" in capsys.readouterr().err


def test_an_evaluation_that_is_damaged_is_not_overwritten(trained, tmp_path, capsys):
    (tmp_path / "evaluation.json").write_text("{")
    assert vqv2("evaluate", trained.folder, "--out", tmp_path, "--only", "usage") == 2
    assert "delete it to start anew" in capsys.readouterr().err
    assert (tmp_path / "evaluation.json").read_text() == "{"
