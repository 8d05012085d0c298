"""Configurations: Tables 1, 2 and 3, JSON and text, and nonsense."""

import dataclasses
import json
import math

import pytest

from vqv2.config import (
    AutoencoderConfig,
    ClassifierConfig,
    Config,
    PriorConfig,
    level_names,
    replace,
)
from vqv2.errors import InputError
from vqv2.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = preset(name)
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_table_1():
    top, bottom = preset("imagenet256").priors
    columns = {
        "batch": (1024, 512),
        "hidden_units": (512, 512),
        "residual_units": (2048, 1024),
        "layers": (20, 20),
        "attention_layers": (4, 0),
        "filter_size": (5, 5),
        "dropout": (0.1, 0.1),
        "output_stack_layers": (20, 0),
        "conditioning_blocks": (0, 20),
        "steps": (1600000, 754000),
        "polyak_decay": (0.9999, 0.9999),
        "learning_rate_scale": (0.18, 0.18),
    }
    for field, values in columns.items():
        assert (getattr(top, field), getattr(bottom, field)) == values, field


def test_table_2():
    priors = preset("ffhq1024").priors
    columns = {
        "batch": (1024, 512, 256),
        "hidden_units": (512, 512, 512),
        "residual_units": (2048, 1024, 1024),
        "layers": (20, 20, 10),
        "attention_layers": (4, 1, 0),
        "dropout": (0.5, 0.3, 0.25),
        "output_stack_layers": (0, 0, 0),
        "conditioning_blocks": (0, 8, 8),
        "steps": (237000, 57400, 270000),
        "learning_rate_scale": (0.324, 0.324, 0.18),
    }
    for field, values in columns.items():
        assert tuple(getattr(p, field) for p in priors) == values, field


def test_table_3():
    imagenet, ffhq = preset("imagenet256").autoencoder, preset("ffhq1024").autoencoder
    assert (imagenet.image_size, imagenet.latent_sizes, imagenet.steps) == (256, (32, 64), 2207444)
    assert (ffhq.image_size, ffhq.latent_sizes, ffhq.steps) == (1024, (32, 64, 128), 304741)
    for config in (imagenet, ffhq):
        assert (config.hidden_units, config.residual_units, config.layers) == (128, 64, 2)
        assert (config.codebook_size, config.codebook_dimension) == (512, 64)
        assert (config.commitment, config.learning_rate, config.batch) == (0.25, 2e-4, 128)


def test_level_names():
    assert [level_names(n) for n in (1, 2, 3)] == [
        ("top",),
        ("top", "bottom"),
        ("top", "middle", "bottom"),
    ]
    assert level_names(4) == ("top", "middle1", "middle2", "bottom")


def test_text_is_read_as_the_fields_type():
    config = replace(
        AutoencoderConfig(),
        {
            "image_size": "64",
            "latent_sizes": "8,16",
            "learning_rate": "1e-3",
            "decay_learning_rate": "true",
        },
    )
    assert (config.image_size, config.latent_sizes) == (64, (8, 16))
    assert (config.learning_rate, config.decay_learning_rate) == (1e-3, True)
    as_shown = replace(AutoencoderConfig(), {"image_size": "64", "latent_sizes": "[8, 16]"})
    assert as_shown.latent_sizes == (8, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_units": "3"}, "did you mean 'hidden_units'"),
        ({"hidden_units": "many"}, "hidden_units is a whole number"),
        ({"learning_rate": "x"}, "is a number"),
        ({"latent_sizes": "8;16"}, "commas"),
        ({"latent_sizes": "[]"}, "commas"),
        ({"latent_sizes": "16,8"}, "latent_sizes"),
        ({"latent_sizes": "32,96"}, "latent_sizes"),
        ({"hidden_units": "0"}, "hidden_units=0 must be from 1 to 65536"),
        ({"hidden_units": "7"}, "even"),
        ({"codebook_size": "70000"}, "65536"),
        ({"codebook_update": "magic"}, "ema, loss"),
        ({"polyak_decay": "1"}, "from 0 to 1, but not 1"),
        ({"gradient_clipping": "inf"}, "gradient_clipping=inf must be from 0 to .*0: any"),
        ({"gradient_clipping": "-inf"}, "gradient_clipping=-inf must be from 0"),
        ({"learning_rate": "inf"}, "learning_rate=inf must be from 0 to 1e[+]30, but not 0"),
        ({"upsampling_filter_size": "3"}, "even"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        replace(AutoencoderConfig(), settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_units": 20}, "multiple of 2 x attention_heads"),
        ({"attention_layers": 21}, "attention_layers"),
        ({"attention_every": 6}, "attention_every 6 times attention_layers 4"),
        ({"filter_size": 4}, "odd"),
        ({"filter_size": 1}, "at least 3"),
        ({"conditioning_units": 6}, "multiple of 4"),
        ({"dropout": 1.0}, "from 0 to 1, but not 1"),
        ({"attention_dropout": "x"}, "logits, weights"),
    ],
)
def test_nonsense_priors_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        replace(PriorConfig(), settings)


@pytest.mark.parametrize("kind", [AutoencoderConfig, PriorConfig, ClassifierConfig])
def test_every_number_has_bounds(kind):
    """Numbers without an end become NumPy's errors, at best."""
    for name, value in dataclasses.asdict(kind()).items():
        if isinstance(value, str | bool):
            continue
        for end in ("9" * 5000, 10**30 + 1, -1) if type(value) is int else (1e31, math.nan, -1.0):
            with pytest.raises(InputError, match=name) as error:
                replace(kind(), {name: end})
            assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_units": 64.5}, "hidden_units=64.5 cannot be read: hidden_units is a whole"),
        ({"layers": True}, "layers is a whole number"),
        ({"latent_sizes": [8.5, 16]}, "latent_sizes is whole numbers"),
        ({"latent_sizes": 8}, "latent_sizes is whole numbers"),
        ({"augmentation": ["none"]}, "augmentation is text"),
        ({"learning_rate": None}, "learning_rate is a number"),
    ],
)
def test_values_of_another_type_are_not_taken_for_something_else(settings, message):
    with pytest.raises(InputError, match=message):
        replace(preset("demo").autoencoder, settings)


@pytest.mark.parametrize(("name", "value"), [("conditional", "maybe"), ("name", ["demo"])])
def test_the_hierarchys_own_fields_are_checked_too(name, value):
    values = {**preset("demo").as_dict(), name: value}
    with pytest.raises(InputError, match=f"{name} is "):
        Config.from_dict(values)


def test_a_hierarchy_needs_a_prior_per_level():
    config = preset("demo")
    with pytest.raises(InputError, match="one for each"):
        dataclasses.replace(config, priors=config.priors[:1]).check()
    with pytest.raises(InputError, match="no preset 'dmo', did you mean 'demo'"):
        preset("dmo")


def test_another_number_of_levels_brings_priors_to_match():
    config = preset("demo")
    for sizes, expected in (((8,), (0,)), ((4, 8, 16), (0, 1, 1))):
        changed = config.with_autoencoder(replace(config.autoencoder, {"latent_sizes": sizes}))
        assert changed.priors == tuple(config.priors[i] for i in expected)
    with pytest.raises(InputError, match="multiples of 4"):
        config.with_autoencoder(replace(config.autoencoder, {"latent_sizes": (1, 2)}))


@pytest.mark.parametrize(
    "settings",
    [{"attention_heads": 0}, {"conditioning_units": 0}, {"second_kernel": -1},
     {"attention_layers": -1}, {"learning_rate_scale": float("nan")}],
)  # fmt: skip
def test_more_nonsense_priors(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        replace(PriorConfig(), settings)


@pytest.mark.parametrize(
    "settings",
    [{"restart_after": -1}, {"codebook_epsilon": float("nan")}, {"encoder_filter_size": -1}],
)
def test_more_nonsense_autoencoders(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        replace(AutoencoderConfig(), settings)
