"""The hierarchical autoencoder: shapes for any number of levels, gradients, partial decoding."""

import dataclasses

import numpy as np
import pytest

from tests.gradients import check_gradient
from vqv2.autodiff import Tensor
from vqv2.config import AutoencoderConfig
from vqv2.errors import InputError
from vqv2.models.autoencoder import Autoencoder
from vqv2.optim import Adam
from vqv2.presets import PRESETS

SMALL = AutoencoderConfig(
    image_size=16, latent_sizes=(4, 8), hidden_units=8, residual_units=4, layers=1,
    codebook_size=12, codebook_dimension=6,
)  # fmt: skip


def small(seed=0, **changes):
    config = dataclasses.replace(SMALL, **changes).check()
    return Autoencoder(config, np.random.default_rng(seed))


def images(count=3, size=16, channels=3):
    return np.random.default_rng(9).random((count, size, size, channels), dtype=np.float32)


@pytest.mark.parametrize("sizes", [(8,), (4,), (4, 8), (2, 8), (2, 4, 8), (1, 2, 4, 8)])
def test_any_number_of_levels(sizes):
    model, rng = small(latent_sizes=sizes), np.random.default_rng(1)
    loss, parts, codes = model.loss(images(), rng)
    assert [c.shape for c in codes] == [(3, s, s) for s in sizes]
    loss.backward()
    assert all(p.grad is not None for p in model.parameters().values())
    encoded = model.encode(images())
    assert tuple(encoded) == model.config.levels
    assert model.decode(encoded).shape == (3, 16, 16, 3)


def test_encoding_does_not_decode_and_names_the_image_that_it_cannot_encode():
    model = small(latent_sizes=(2, 4, 8))
    model.loss(images(), np.random.default_rng(0))
    expected = model(images()).codes
    model.decoders[-1] = None  # the image's decoder has no part in it
    for codes, known in zip(model.encode(images()).values(), expected, strict=True):
        np.testing.assert_array_equal(codes, known)
    broken = images()
    for number in (np.nan, np.inf, 1e30):
        broken[1, 0, 0] = number
        with (
            np.errstate(all="ignore"),
            pytest.raises(
                InputError, match="level top: what the encoder makes of image 1 of 3 .1 such"
            ),
        ):
            model.encode(broken)
    model.quantizers[1].codebook[...] = np.nan
    with pytest.raises(InputError, match="the code vectors of level middle are NaN"):
        model.encode(images())


def test_the_loss_is_equation_2():
    model = small()
    model.loss(images(), np.random.default_rng(0))
    loss, parts, _ = model.loss(images())
    reconstruction = model(images()).image.array + 0.5
    mse = ((reconstruction - images()) ** 2).mean()
    assert parts["reconstruction"].item() == pytest.approx(mse, rel=1e-5)
    total = parts["reconstruction"].item() + 0.25 * parts["commitment"].item()
    assert loss.item() == pytest.approx(total, rel=1e-6)


def test_gradient_of_the_decoder_and_of_the_encoder():
    model = small().cast(np.float64)
    rng = np.random.default_rng(0)
    maps = [rng.standard_normal((2, s, s, 6)) for s in (4, 8)]
    check_gradient(lambda a, b: model.decoders[-1]([a, b]), maps, tolerance=1e-6)
    x = rng.standard_normal((2, 16, 16, 3))
    check_gradient(lambda x: model._features(x)[0], [x], tolerance=1e-6)


def test_the_bottom_code_depends_on_the_top_code():
    """Algorithm 1, line 3: h_bottom = E_bottom(x, e_top)."""
    model = small()
    model.loss(images(), np.random.default_rng(0))
    before = model.encode(images())
    model.quantizers[0].codebook += 100
    after = model.encode(images())
    assert (before["bottom"] != after["bottom"]).any()


def test_decode_of_all_levels_is_the_reconstruction():
    model = small()
    model.loss(images(), np.random.default_rng(0))
    whole = np.clip(model(images()).image.array + 0.5, 0, 1)
    np.testing.assert_allclose(model.decode(model.encode(images())), whole, atol=1e-6)


def test_a_level_left_out_has_no_influence_and_need_not_be_given():
    model = small()
    model.loss(images(), np.random.default_rng(0))
    codes = model.encode(images())
    top = model.decode(codes, ["top"])
    np.testing.assert_array_equal(top, model.decode({"top": codes["top"]}, ["top"]))
    assert (top != model.decode(codes)).any()


def test_undecided_codes_enter_as_the_average_of_their_level_alone():
    model = small()
    model.loss(images(), np.random.default_rng(0))
    codes = model.encode(images())
    undecided = {**codes, "bottom": np.full_like(codes["bottom"], -1)}
    np.testing.assert_array_equal(
        model.decode(undecided, undecided=True), model.decode(codes, ["top"])
    )
    np.testing.assert_array_equal(model.decode(codes, undecided=True), model.decode(codes))
    quantizer = model.quantizers[1]
    undecided["bottom"] = np.where(np.arange(8) < 3, codes["bottom"], -1)
    quantizer.vectors[0] = quantizer.average_vector  # as if it were a code
    codes["bottom"] = np.maximum(undecided["bottom"], 0)
    quantizer.counts[...], quantizer.steps[...] = 0, 0
    quantizer.counts[0] = 1  # the average is now code 0
    np.testing.assert_allclose(model.decode(undecided, undecided=True), model.decode(codes), 1e-5)


def test_the_vector_of_a_left_out_level_is_the_usage_weighted_mean():
    model = small()
    quantizer = model.quantizers[1]
    quantizer.codebook[...] = np.random.default_rng(0).standard_normal(quantizer.codebook.shape)
    quantizer.counts[:3] = [1, 2, 3 * (1 - 0.99**3)]
    quantizer.steps[:3] = [5000, 5000, 3]  # the last of them has restarted: its count is debiased
    expected = (quantizer.codebook[:3] * np.array([1, 2, 3])[:, None] / 6).sum(0)
    np.testing.assert_allclose(quantizer.average_vector, expected, 1e-4)


@pytest.mark.parametrize(
    ("codes", "levels", "message"),
    [
        ({"top": np.zeros((1, 4, 4), int)}, None, "bottom are missing"),
        ({"top": np.zeros((1, 5, 4), int)}, ["top"], r"\(1, 5, 4\)"),
        ({"top": np.full((1, 4, 4), 12)}, ["top"], "0 to 11"),
        ({"top": np.full((1, 4, 4), -1)}, ["top"], "0 to 11"),
        ({"top": np.zeros((1, 4, 4))}, ["top"], "whole numbers"),
        ({"top": np.zeros((1, 4, 4), int)}, ["left"], "no level 'left'"),
        ({"top": np.zeros((1, 4, 4), int)}, [], "at least one level"),
    ],
)
def test_wrong_codes_are_refused(codes, levels, message):
    with pytest.raises(InputError, match=message):
        small().decode(codes, levels)


def test_images_of_bytes_are_refused():
    with pytest.raises(InputError, match=r"images are uint8: they must be floats in \[0, 1\]"):
        small().encode(np.zeros((1, 16, 16, 3), np.uint8))


def test_table_3_layers():
    """Shapes of the ImageNet preset's weights, as Table 3 and the usual layer order have them."""
    model = Autoencoder(PRESETS["imagenet256"].autoencoder, np.random.default_rng(0))
    shapes = {name: p.shape for name, p in model.parameters().items()}
    assert shapes["encoders.1.downsampling.convolutions.0.weight"] == (4, 4, 3, 64)
    assert shapes["encoders.1.downsampling.convolutions.1.weight"] == (4, 4, 64, 128)
    assert shapes["encoders.1.refinement.convolution.weight"] == (3, 3, 128, 128)
    assert shapes["encoders.1.refinement.stack.blocks.1.spatial.weight"] == (3, 3, 128, 64)
    assert shapes["encoders.1.refinement.stack.blocks.1.pointwise.weight"] == (64, 128)
    assert shapes["encoders.0.downsampling.convolutions.0.weight"] == (4, 4, 128, 64)
    assert shapes["projections.0.linear.weight"] == (128, 64)
    assert shapes["projections.1.linear.weight"] == (192, 64)
    assert shapes["decoders.1.fusion.refinement.convolution.weight"] == (3, 3, 128, 128)
    assert shapes["decoders.1.upsampling.convolutions.1.weight"] == (4, 4, 3, 64)
    assert model.quantizers[0].codebook.shape == (512, 64)
    assert "quantizers.0.codebook" in model.buffers()


def test_it_learns_to_reconstruct():
    model, rng = small(), np.random.default_rng(0)
    colours = rng.random((8, 1, 1, 3), np.float32)
    pixels = np.broadcast_to(colours, (8, 16, 16, 3))
    optimizer = Adam(model.parameters(), 0.9)
    losses = []
    for _ in range(100):
        loss, parts, _ = model.loss(pixels, rng)
        loss.backward()
        optimizer.step(3e-3)
        losses.append(parts["reconstruction"].item())
    assert losses[-1] < 0.2 * losses[0]


def test_tensor_is_what_a_reconstruction_holds():
    assert isinstance(small()(images()).image, Tensor)


def test_level_dropout_decodes_some_images_from_coarse_levels_and_trains_only():
    model = small(latent_sizes=(2, 4, 8), level_dropout=0.5)
    model.loss(images(), np.random.default_rng(0))
    maps = [Tensor(quantizer.decode(codes)) for quantizer, codes in zip(
        model.quantizers, model.encode(images(60)).values(), strict=True)]  # fmt: skip
    mixed = model._drop_levels(list(maps), np.random.default_rng(1))
    kept = np.array(
        [[(a == b).all() for a, b in zip(m.array, o.array, strict=True)]
         for m, o in zip(mixed, maps, strict=True)]
    )  # fmt: skip
    assert kept[0].all()
    assert not (kept[2] & ~kept[1]).any()  # a level is dropped with all that are finer
    assert 0.3 < (~kept[2]).mean() < 0.7 and 0.1 < (~kept[1]).mean() < 0.4
    average = model.quantizers[2].average_vector
    dropped = mixed[2].array[~kept[2]]
    np.testing.assert_allclose(dropped, np.broadcast_to(average, dropped.shape), rtol=1e-6)
    first, second = model(images()).image.array, model(images()).image.array
    np.testing.assert_array_equal(first, second)
