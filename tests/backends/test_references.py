"""The references against their formulas, written out once more one number at a time."""

import math

import numpy as np
import pytest

from backends import kernels
from backends.reference.causal_conv import tap_count
from backends.reference.conv import output_size
from backends.reference.elementwise import keep


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def inside(image, row, column):
    return 0 <= row < image.shape[0] and 0 <= column < image.shape[1]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (4, 2, 1), (2, 3, 0)])
def test_conv2d(kernel, stride, padding):
    x, w = draw(2, 7, 6, 3), draw(kernel, kernel, 3, 2)
    y = kernels.conv2d.reference(x, w, stride, padding)
    rows, columns = (output_size(size, kernel, stride, padding) for size in (7, 6))
    assert y.shape == (2, rows, columns, 2)
    for n, i, j in np.ndindex(2, rows, columns):
        expected = np.zeros(2)
        for a, b in np.ndindex(kernel, kernel):
            row, column = i * stride + a - padding, j * stride + b - padding
            if inside(x[n], row, column):
                expected += x[n, row, column] @ w[a, b]
        np.testing.assert_allclose(y[n, i, j], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "centre", "taps"), [(5, True, 13), (5, False, 12), (1, True, 1)]
)
def test_causal_conv2d_is_a_convolution_whose_later_taps_are_zero(kernel, centre, taps):
    assert tap_count(kernel, centre) == taps
    x, w = draw(2, 4, 5, 3), draw(taps, 3, 2)
    whole = np.zeros((kernel**2, 3, 2))
    whole[:taps] = w
    whole = whole.reshape(kernel, kernel, 3, 2)
    expected = kernels.conv2d.reference(x, whole, 1, kernel // 2)
    np.testing.assert_allclose(kernels.causal_conv2d.reference(x, w, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("dropout_on", ["logits", "weights"])
def test_causal_attention(dropout_on):
    batch, length, width, rate, seed = 2, 6, 4, 0.4, 3
    queries, keys, values = draw(batch, length, width), draw(batch, length, width), draw(2, 6, 3)
    settings = (rate, seed, dropout_on)
    output, log_normalizer = kernels.causal_attention.reference(queries, keys, values, *settings)
    np.testing.assert_array_equal(output[:, 0], 0)
    for b, i in np.ndindex(batch, length):
        numbers = ((b * length + i) * length + np.arange(i)).astype(np.uint64)
        factors = keep(seed, numbers, rate) / (1 - rate)
        logits = keys[b, :i] @ queries[b, i] / math.sqrt(width)
        logits = logits * factors if dropout_on == "logits" else logits
        total = np.exp(logits).sum()
        weights = np.exp(logits) / total * (factors if dropout_on == "weights" else 1)
        np.testing.assert_allclose(output[b, i], weights @ values[b, :i], atol=1e-12)
        np.testing.assert_allclose(log_normalizer[b, i], math.log(total) if i else 0, atol=1e-12)


def test_causal_attention_sees_earlier_positions_only():
    queries, keys, values = draw(1, 5, 4), draw(1, 5, 4), draw(1, 5, 3)
    before, _ = kernels.causal_attention.reference(queries, keys, values, 0.0, 0, "logits")
    keys[0, 2:], values[0, 2:] = 5, -7
    after, _ = kernels.causal_attention.reference(queries, keys, values, 0.0, 0, "logits")
    np.testing.assert_array_equal(after[0, :3], before[0, :3])
    assert (after[0, 3:] != before[0, 3:]).all()


def test_activations_at_single_points():
    x = np.array([-2.0, 0.0, 0.5])
    np.testing.assert_array_equal(kernels.relu.reference(x), [0, 0, 0.5])
    np.testing.assert_allclose(kernels.elu.reference(x), [math.exp(-2) - 1, 0, 0.5])
    sigmoids = [1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-0.5))]
    np.testing.assert_allclose(kernels.sigmoid.reference(x), sigmoids)
    gated = kernels.gate.reference(np.concatenate([[3.0, -4.0, 5.0], x]))
    np.testing.assert_allclose(gated, np.multiply([3.0, -4.0, 5.0], sigmoids))


def test_keep_is_the_generator_splitmix64():
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)  # outputs for seed 0
    for index, output in enumerate(published):
        number = np.array([index], np.uint64)
        assert keep(0, number, (output >> 40) / 2**24)[0]
        assert not keep(0, number, ((output >> 40) + 1) / 2**24)[0]


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
    y = kernels.dropout.reference(np.ones(200_000), 0.3, 5)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert abs((y == 0).mean() - 0.3) < 0.005
    neighbours = ((y[1:] == 0) & (y[:-1] == 0)).mean()
    assert abs(neighbours - 0.09) < 0.005
    other = kernels.dropout.reference(np.ones(200_000), 0.3, 6)
    assert abs(((y == 0) & (other == 0)).mean() - 0.09) < 0.005


def test_cross_entropy_is_the_logarithm_of_the_probability():
    logits = np.array([[0.0, math.log(3)], [1000.0, 0.0]])
    losses = kernels.cross_entropy.reference(logits, np.array([1, 1]))
    np.testing.assert_allclose(losses, [-math.log(3 / 4), 1000])


def test_codebook_statistics_count_and_sum():
    vectors = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    counts, sums = kernels.codebook_statistics.reference(vectors, np.array([2, 0, 2]), 4)
    np.testing.assert_array_equal(counts, [1, 0, 2, 0])
    np.testing.assert_array_equal(sums, [[10, 20], [0, 0], [101, 202], [0, 0]])


def test_adam_takes_its_first_step_along_the_sign_of_the_gradient():
    parameter, gradient = np.array([1.0, 1.0, 1.0]), np.array([1e-3, -50.0, 0.0])
    mean, square, average = np.zeros(3), np.zeros(3), np.ones(3)
    settings = (1, 0.1, 0.9, 0.999, 1e-12, 0.75)
    kernels.adam_update.reference(parameter, gradient, mean, square, average, *settings)
    np.testing.assert_allclose(parameter, [0.9, 1.1, 1.0])
    np.testing.assert_allclose(mean, 0.1 * gradient)
    np.testing.assert_allclose(square, 0.001 * gradient**2)
    np.testing.assert_allclose(average, [0.975, 1.025, 1.0])
