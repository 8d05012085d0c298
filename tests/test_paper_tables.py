"""The presets against Tables 1, 2 and 3, typed from the supplement in tests/paper_tables.toml."""

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest

from vqv2 import training
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.augment import Augmentation
from vqv2.optim import Adam, autoencoder_learning_rate, prior_learning_rate
from vqv2.presets import preset
from vqv2.run import Run

PAPER = tomllib.loads((Path(__file__).parent / "paper_tables.toml").read_text())

PRIOR_FIELDS = {
    "Batch size": "batch",
    "Hidden units": "hidden_units",
    "Residual units": "residual_units",
    "Layers": "layers",
    "Attention layers": "attention_layers",
    "Attention heads": "attention_heads",
    "Conv Filter size": "filter_size",
    "Dropout": "dropout",
    "Output stack layers": "output_stack_layers",
    "Conditioning stack residual blocks": "conditioning_blocks",
    "Training steps": "steps",
    "Polyak EMA decay": "polyak_decay",
}
AUTOENCODER_FIELDS = {
    "beta": "commitment",
    "Batch size": "batch",
    "Hidden units": "hidden_units",
    "Residual units": "residual_units",
    "Layers": "layers",
    "Codebook size": "codebook_size",
    "Codebook dimension": "codebook_dimension",
    "Encoder conv filter size": "encoder_filter_size",
    "Upsampling conv filter size": "upsampling_filter_size",
    "Training steps": "steps",
    "Polyak EMA decay": "polyak_decay",
    "Learning Rate": "learning_rate",
}
NONE = {"output_stack_layers": 0, "conditioning_blocks": 0}  # what "-" means for these
CHECKED_OTHERWISE = {"columns", "Input size", "Latent layers", "Optimizer"}


def columns(*tables):
    """(table, row, printed value, preset name, level or None) of everything in some tables."""
    return [
        (table, row, value, *[*column.split(), None][:2])
        for table in tables
        for row, values in PAPER[table].items()
        if row != "columns"
        for column, value in zip(PAPER[table]["columns"], values, strict=True)
    ]


def test_every_row_is_compared():
    for table, fields in (("table1", PRIOR_FIELDS), ("table2", PRIOR_FIELDS),
                          ("table3", AUTOENCODER_FIELDS)):  # fmt: skip
        assert set(PAPER[table]) - CHECKED_OTHERWISE == set(fields), table


@pytest.mark.parametrize(("table", "row", "printed", "name", "level"), columns("table1", "table2"))
def test_tables_1_and_2(table, row, printed, name, level):
    config = preset(name)
    if row == "Input size":
        size = config.autoencoder.latent_sizes[config.levels.index(level)]
        assert printed == f"{size}x{size}"
        return
    field = PRIOR_FIELDS[row]
    value = getattr(config.prior(level), field)
    if printed == "?":
        assert value == config.priors[0].attention_heads
    elif printed == "-" and field == "attention_heads":
        assert config.prior(level).attention_layers == 0  # then there are none, whatever it says
    else:
        assert value == (NONE[field] if printed == "-" else printed)


@pytest.mark.parametrize(("table", "row", "printed", "name", "level"), columns("table3"))
def test_table_3(table, row, printed, name, level):
    config = preset(name).autoencoder
    if row == "Input size":
        assert printed == f"{config.image_size}x{config.image_size}"
    elif row == "Latent layers":
        assert printed == ", ".join(f"{size}x{size}" for size in config.latent_sizes)
    elif row == "Optimizer":
        assert (printed, training.autoencoder.Adam, training.prior.Adam) == ("Adam", Adam, Adam)
    else:
        assert getattr(config, AUTOENCODER_FIELDS[row]) == printed


def test_nothing_else_is_switched_on():
    """What the paper does not have is off in its presets, and no level drops out of the tables."""
    for name in ("imagenet256", "ffhq1024"):
        config = preset(name)
        for part in (config.autoencoder, *config.priors):
            assert (part.accumulate, part.gradient_clipping) == (1, 0)
        assert (config.autoencoder.level_dropout, config.autoencoder.decay_learning_rate) == (0, 0)
        assert config.autoencoder.codebook_update == "ema"  # equation 3
        assert config.autoencoder.codebook_decay == 0.99
        for prior in config.priors:
            assert (prior.second_kernel, prior.condition_output_stack) == (1, False)
            assert prior.attention_dropout == "logits"  # "dropout on the logits of each attention"
            assert prior.conditioning_units == 1024  # line 12 of the pseudo-code
    printed = {c for table in ("table1", "table2") for c in PAPER[table]["columns"]}
    assert printed == {f"{n} {v}" for n in ("imagenet256", "ffhq1024") for v in preset(n).levels}


@pytest.mark.parametrize("step", [1, 100, 16000, 46908, 46909, 754000])
def test_the_learning_rate_formulas(step):
    rows = PAPER["learning_rate"]
    for column, scale, decay, warmup in zip(*(rows[name] for name in rows), strict=True):
        name, level = column.split()
        prior = preset(name).prior(level)
        expected = scale * prior.hidden_units**-0.5 * min(step**-decay, step * warmup**-1.5)
        assert prior_learning_rate(step, prior) == pytest.approx(expected, rel=1e-12), column
    for name, rate in zip(PAPER["table3"]["columns"], PAPER["table3"]["Learning Rate"],
                          strict=True):  # fmt: skip
        assert autoencoder_learning_rate(step, preset(name).autoencoder) == rate


@pytest.mark.parametrize("name", PAPER["augmentation"])
def test_augmentation(name):
    augmentation = AUGMENTATIONS[preset(name).autoencoder.augmentation]
    assert augmentation == Augmentation(**PAPER["augmentation"][name])


def test_the_losss_weights_reach_the_model(tmp_path):
    """Equation 2: beta multiplies the commitment loss of what is trained."""
    config = dataclasses.replace(
        preset("imagenet256").autoencoder, image_size=16, latent_sizes=(4, 8), hidden_units=8
    )
    run = Run(tmp_path, preset("imagenet256").with_autoencoder(config), (), "")
    model = run.new_autoencoder(0)
    images = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    loss, parts, _ = model.loss(images)
    beta = PAPER["table3"]["beta"][0]
    expected = parts["reconstruction"].item() + beta * parts["commitment"].item()
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_every_field_says_where_it_comes_from():
    for kind in (AutoencoderConfig, PriorConfig):
        for field in dataclasses.fields(kind):
            start = field.metadata["source"].split(",")[0].split(":")[0].split(";")[0]
            assert start.split()[0] in ("here", "Table", "section", "equation"), field.name
