"""The ablations: their figures by hand, and both experiments with tiny models."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tests.small import CONFIG, PRIOR, write_images
from vqv2 import pipeline
from vqv2.cli.main import main
from vqv2.config import Config
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.ablations import latents, prior_grid
from vqv2.lab.ablations.continuous import Discretization
from vqv2.lab.ablations.continuous_autoencoder import ContinuousAutoencoder
from vqv2.lab.ablations.latent_prior import LatentPrior
from vqv2.lab.ablations.prior_grid import Cell, Grid, Outcome, PriorAblation
from vqv2.run import Run, checkpoint
from vqv2.run.checkpoint import Checkpoints
from vqv2.training import Schedule
from vqv2.training.loop import load_training
from vqv2.training.prior import evaluate_prior

ONE_LEVEL = Config(
    "small",
    dataclasses.replace(CONFIG.autoencoder, latent_sizes=(4,), augmentation="none"),
    (dataclasses.replace(PRIOR, steps=4),),
    conditional=False,
)
GRID = Grid(batch=(4, 8), hidden_units=(8, 16), attention_layers=(0, 1), epochs=0.25, steps=3)
QUIET = Schedule(progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("ablation") / "images.npz", count=40)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    run = Run.new(tmp_path_factory.mktemp("run") / "run", ONE_LEVEL, (), data)
    sources = pipeline.open_splits(data, run.config.autoencoder)
    run.class_names = sources["train"].class_names
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    return run


def test_cells_come_in_the_order_of_the_papers_table():
    cells = Grid((64, 128), (64, 256), (0, 2)).cells()
    assert [cell[:3] for cell in cells[:3]] == [(64, 64, 0), (64, 64, 2), (64, 256, 0)]
    assert len(cells) == 8 and len({cell.name for cell in cells}) == 8
    assert len(Grid((64, 128), (64, 256), (0, 2), seeds=(0, 1)).cells()) == 16


def test_an_epoch_is_one_pass_over_the_data():
    assert Grid(epochs=64, steps=10**6).marks(64, 1281167) == (1281167, 10**6)
    assert Grid(epochs=0.5, steps=7).marks(16, 100) == (4, 7)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch": ()}, "batch"),
        ({"hidden_units": (8, 8)}, "hidden_units 8,8"),
        ({"attention_layers": (-1,)}, "from 0"),
        ({"epochs": 0.0}, "epochs"),
        ({"steps": 0}, "steps"),
    ],
)
def test_axes_that_mean_nothing_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(Grid(), **change).check()


def outcomes(loss, grid=Grid((16, 64), (8, 32), (0, 2), seeds=(0, 1))):  # noqa: B008
    return [Outcome(cell, loss(cell), loss(cell), loss(cell)) for cell in grid.cells()]


def test_effects_compare_what_differs_in_one_factor_only():
    def loss(cell):
        noise = 0.01 if cell.seed else -0.01
        return 3 - 0.1 * cell.hidden_units - 0.2 * cell.attention_layers + cell.batch / 640 + noise

    found = prior_grid.effects(outcomes(loss), "best")
    assert [(e.factor, e.low, e.high, e.pairs) for e in found] == [
        ("hidden_units", 8, 32, 8),
        ("attention_layers", 0, 2, 8),
        ("batch", 16, 64, 8),
    ]
    np.testing.assert_allclose([e.mean for e in found], [-2.4, -0.4, 0.075])
    np.testing.assert_allclose([e.least for e in found], [e.most for e in found])
    assert prior_grid.has_the_papers_order(outcomes(loss), "best")
    batch_first = outcomes(lambda cell: loss(cell) + cell.batch)
    assert not prior_grid.has_the_papers_order(batch_first, "best")


def test_the_order_is_not_tested_without_all_three_axes():
    one_batch = outcomes(lambda cell: cell.hidden_units, Grid((16,), (8, 32), (0, 2)))
    assert prior_grid.has_the_papers_order(one_batch, "best") is None


def test_rows_of_the_table_are_means_over_seeds():
    grid = Grid((16,), (8,), (0, 2), seeds=(0, 1))
    columns, rows = prior_grid.grid_table(outcomes(lambda cell: 2 + cell.seed, grid), grid)
    assert columns[:4] == ["Batch Size", "Hidden Units", "Residual Size", "Num Attention"]
    assert rows[0] == [16, 8, 32, 0, "2.500", "2.500", "2.500"] and rows[1][3] == 2


def test_a_cell_is_trained_once_and_its_loss_is_the_priors(run, tmp_path):
    ablation = PriorAblation(run, "top", ONE_LEVEL.priors[0], GRID, tmp_path)
    cell = GRID.cells()[3]
    outcome = ablation.train(cell, progress=False)
    path = tmp_path / cell.name / "checkpoint.safetensors"
    written = path.stat().st_mtime_ns
    assert ablation.train(cell, progress=False) == outcome
    assert path.stat().st_mtime_ns == written
    task = ablation._task(cell, 3)
    step = load_training(task, Checkpoints(path.parent), cell.seed)[0]["step"]
    assert step == 3  # the later of 3 steps and 10 / 4
    assert (task.config.hidden_units, task.config.residual_units) == (16, 64)
    with task.optimizer.averaged():
        loss = evaluate_prior(task.model, ablation.store, "top", "held_out")
    assert outcome.at_steps == pytest.approx(loss, rel=1e-6)
    assert outcome.best <= min(outcome.at_steps, outcome.at_epochs)


def test_other_marks_in_a_finished_folder_are_refused(run, tmp_path):
    cell = Cell(4, 8, 0, 0)
    longer, other = (dataclasses.replace(GRID, steps=steps) for steps in (14, 5))
    PriorAblation(run, "top", ONE_LEVEL.priors[0], longer, tmp_path).train(cell, progress=False)
    with pytest.raises(InputError, match="other steps"):
        PriorAblation(run, "top", ONE_LEVEL.priors[0], other, tmp_path).train(cell, progress=False)


def test_bins_are_the_nearest_and_hold_what_lies_beyond():
    rng = np.random.default_rng(0)
    train = rng.standard_normal((50, 2, 2, 3)).astype(np.float32) * [1, 10, 0.1] + 5
    train = train.astype(np.float32)
    discretization = Discretization.of(train)
    bins = discretization.bins(train)
    assert bins.dtype == np.uint8
    assert bins.reshape(-1, 3).min(axis=0).tolist() == [0, 0, 0]
    assert bins.reshape(-1, 3).max(axis=0).tolist() == [255, 255, 255]
    half = (discretization.high - discretization.low) / 255 / 2
    assert (np.abs(discretization.latents(bins) - train) <= half * 1.001).all()
    beyond = np.stack([discretization.low - 9, discretization.high + 9])
    assert discretization.bins(beyond).tolist() == [[0] * 3, [255] * 3]


def test_a_dimension_that_never_changes_has_one_bin():
    constant = np.full((4, 2), 3.0, np.float32)
    discretization = Discretization.of(constant)
    np.testing.assert_array_equal(discretization.latents(discretization.bins(constant)), constant)


def test_the_latent_ablation_goes_on_where_it_was_and_refuses_another(data, tmp_path):
    def ablation(config=ONE_LEVEL):
        return latents.LatentAblation(data, config, tmp_path, progress=False)

    quantized, continuous = ablation().quantized(), ablation().continuous(2)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.safetensors")}
    assert len(files) == 4
    assert (ablation().quantized(), ablation().continuous(2)) == (quantized, continuous)
    assert files == {path: path.stat().st_mtime_ns for path in files}
    run = Run.open(tmp_path / "vq")
    identity = run.autoencoder_identity()
    store = run.open_codes(identity)
    nats = evaluate_prior(run.load_prior("top", identity), store, "top", "held_out")
    images = pipeline.open_splits(data, ONE_LEVEL.autoencoder)["held_out"]
    images = images.batch(range(len(images)))
    hierarchy = Hierarchy.load(run.folder)
    mse = ((hierarchy.decode(hierarchy.encode(images)).astype(np.float64) - images) ** 2).mean()
    assert quantized.psnr == pytest.approx(-10 * math.log10(mse), rel=1e-6)
    assert quantized.last_bits_per_image == pytest.approx(nats * 16 / math.log(2), rel=1e-6)
    other = dataclasses.replace(ONE_LEVEL.autoencoder, commitment=0.5)
    with pytest.raises(InputError, match="with other settings"):
        ablation(ONE_LEVEL.with_autoencoder(other)).quantized()


def test_the_row_of_an_autoencoder_is_that_of_its_averaged_weights(data, tmp_path):
    ablation = latents.LatentAblation(data, ONE_LEVEL, tmp_path, progress=False)
    row = ablation.continuous(2)
    config = dataclasses.replace(ONE_LEVEL.autoencoder, codebook_dimension=2)
    model = ContinuousAutoencoder(config, np.random.default_rng(1))
    folder = tmp_path / "latents2"
    path = folder / "autoencoder" / "checkpoint.safetensors"
    checkpoint.load_model(model, path)
    images = {s: source.batch(range(len(source))) for s, source in ablation.sources.items()}
    discretization = Discretization.of(model.encode(images["train"]))
    bins = discretization.bins(model.encode(images["held_out"]))
    decoded = model.decode(discretization.latents(bins))
    mse = ((decoded.astype(np.float64) - images["held_out"]) ** 2).mean()
    assert row.psnr == pytest.approx(-10 * math.log10(mse), rel=1e-6)
    assert row.unrounded_psnr == pytest.approx(row.psnr, abs=0.1)
    prior = LatentPrior(ONE_LEVEL.priors[0], 2, 4, np.random.default_rng(1))
    path = folder / "prior" / "checkpoint.safetensors"
    checkpoint.load_model(prior, path)
    nats = prior.loss(bins).item() * 16
    assert row.last_bits_per_image == pytest.approx(nats / math.log(2), rel=1e-6)


def test_bits_are_the_lowest_and_the_last_of_the_log(data, tmp_path):
    ablation = latents.LatentAblation(data, ONE_LEVEL, tmp_path, progress=False)
    lines = [(1, "held_out", 4.0), (2, "train", 0.5), (2, "held_out", 2.0), (3, "held_out", 3.0)]
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps({"step": n, "split": s, "loss": x}) + "\n" for n, s, x in lines)
    )
    lowest, last = ablation._bits(tmp_path)
    assert (lowest, last) == (pytest.approx(32 / math.log(2)), pytest.approx(48 / math.log(2)))


def test_a_prior_of_an_autoencoder_that_was_trained_further_is_refused(data, tmp_path):
    latents.LatentAblation(data, ONE_LEVEL, tmp_path, progress=False).continuous(2)
    further = dataclasses.replace(ONE_LEVEL.autoencoder, steps=ONE_LEVEL.autoencoder.steps + 1)
    ablation = latents.LatentAblation(
        data, ONE_LEVEL.with_autoencoder(further), tmp_path, progress=False
    )
    with pytest.raises(InputError, match="its autoencoder is"):
        ablation.continuous(2)


def test_the_latent_ablation_has_one_level(data, tmp_path):
    with pytest.raises(InputError, match="one size"):
        latents.LatentAblation(data, CONFIG, tmp_path)


def vqv2(*arguments):
    return main([str(argument) for argument in arguments])


def settings(values):
    return [part for field, value in values.items() for part in ("--set", f"{field}={value}")]


def test_the_command_for_priors_writes_the_table_and_the_figures(run, tmp_path, capsys):
    assert vqv2("ablate", "prior", run.folder, "--out", tmp_path, "--batch", "4,8",
                "--hidden-units", 8, "--attention-layers", "0,1", "--epochs", 0.1,
                "--steps", 2, *settings({"layers": 1})) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert (tmp_path / "table.txt").read_text().strip() in printed
    assert "not tested" in printed
    cells = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert [(c["batch"], c["attention_layers"]) for c in cells] == [(4, 0), (4, 1), (8, 0), (8, 1)]
    assert all(math.isfinite(c["best"]) for c in cells)


def test_the_command_for_latents_writes_the_table_of_the_paper(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(latents.LatentAblation, "_psnr", lambda *given: math.inf)
    small = {
        **{f"autoencoder.{name}": value for name, value in (
            ("image_size", 16), ("latent_sizes", 4), ("hidden_units", 8), ("residual_units", 4),
            ("codebook_size", 12), ("codebook_dimension", 6), ("batch", 4), ("steps", 2))},
        **{f"prior.{name}": value for name, value in (
            ("hidden_units", 8), ("residual_units", 8), ("layers", 1), ("attention_layers", 1),
            ("batch", 4), ("steps", 2))},
    }  # fmt: skip
    assert vqv2("ablate", "latents", "--data", data, "--out", tmp_path, "--dimensions", "2,3",
                *settings(small)) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "Distortion PSNR (dB)" in printed and "12 codes, 6 dimensions" in printed
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["dimensions"] for row in rows] == [2, 3, None]
    assert [row["psnr"] is None for row in rows] == [True, True, False]  # JSON has no infinity


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--batch", "4,x"), "whole numbers"),
        (("--set", "nothing=1"), "nothing"),
        (("--set", "residual_units=8"), "the grid decides"),
        (("--hidden-units", "10"), "multiple"),
        (("--level", "bottom"), "levels are top"),
    ],
)
def test_bad_grids_are_one_sentence(run, tmp_path, capsys, arguments, word):
    assert vqv2("ablate", "prior", run.folder, "--out", tmp_path / "new", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ") and word in error
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--dimensions", "0"), "at least 1"),
        (("--set", "steps=1"), "autoencoder.FIELD"),
        (("--set", "prior.steps=none"), "whole number"),
        (("--seed", "-1"), "seed"),
        (("--set", "autoencoder.latent_sizes=4,8"), "one size"),
    ],
)
def test_bad_latents_are_one_sentence(data, tmp_path, capsys, arguments, word):
    out = tmp_path / "new"
    assert vqv2("ablate", "latents", "--data", data, "--out", out, *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ") and word in error
    assert not out.exists()
