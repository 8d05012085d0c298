"""Every gradient kernel against the numerical derivative of the forward reference, in float64."""

from functools import partial

import numpy as np
import pytest

from backends.kernels import (
    biased_elu,
    biased_elu_gradient,
    biased_relu,
    biased_relu_gradient,
    causal_attention,
    causal_attention_gradient,
    causal_conv2d,
    causal_conv2d_input_gradient,
    causal_conv2d_weight_gradient,
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    cross_entropy,
    cross_entropy_gradient,
    dropout,
    elu,
    elu_gradient,
    gate,
    gate_block,
    gate_block_gradient,
    gate_gradient,
    logistic_mixture,
    logistic_mixture_gradient,
    normalize,
    normalize_input_gradient,
    normalize_parameter_gradient,
    relu,
    relu_gradient,
)
from tests.cases import CASES, Draw

STEP = 1e-5


def numerical_derivative(forward, arguments, argument, direction, cotangent):
    """d/dt of <cotangent, forward(arguments with arguments[argument] + t direction)> at t = 0."""

    def value(t):
        moved = list(arguments)
        moved[argument] = moved[argument] + t * direction
        return np.vdot(cotangent, forward(*moved))

    return (value(STEP) - value(-STEP)) / (2 * STEP)


def assert_is_gradient(gradient, forward, arguments, argument, cotangent, rng):
    """`gradient`, an array, is that of <cotangent, forward> with respect to one argument."""
    assert gradient.shape == arguments[argument].shape
    direction = rng.standard_normal(gradient.shape)
    expected = numerical_derivative(forward, arguments, argument, direction, cotangent)
    assert np.abs(expected) > 1e-3  # else the comparison would prove nothing
    np.testing.assert_allclose(np.vdot(gradient, direction), expected, rtol=1e-6)


def conv2d_gradients(run, x, w, stride, padding, dy):
    yield 0, run(conv2d_input_gradient)(dy, w, stride, padding, *x.shape[1:3])
    yield 1, run(conv2d_weight_gradient)(x, dy, len(w), stride, padding)


def transposed_conv2d_gradients(run, x, w, stride, padding, height, width, dy):
    yield 0, run(conv2d)(dy, w, stride, padding)
    yield 1, run(conv2d_weight_gradient)(dy, x, len(w), stride, padding)


def causal_conv2d_gradients(run, x, w, kernel_size, dy):
    yield 0, run(causal_conv2d_input_gradient)(dy, w, kernel_size)
    yield 1, run(causal_conv2d_weight_gradient)(x, dy, kernel_size, len(w))


def attention_gradients(run, queries, keys, values, rate, seed, dropout_on, dy):
    settings = (rate, seed, dropout_on)
    saved = causal_attention.reference(queries, keys, values, *settings)
    gradients = run(causal_attention_gradient)(queries, keys, values, *saved, dy, *settings)
    yield from enumerate(gradients)


def activation_gradients(kernel, gradient_kernel, run, x, dy):
    yield 0, run(gradient_kernel)(kernel.reference(x), dy)


def gate_gradients(run, x, dy):
    yield 0, run(gate_gradient)(x, dy)


def biased_gradients(kernel, gradient_kernel, run, x, bias, dy):
    yield from enumerate(run(gradient_kernel)(kernel.reference(x, bias), dy))


def gate_block_gradients(run, x, features, bias, condition, label, rate, seed, dy):
    inside = gate_block.reference(x, features, bias, condition, label, rate, seed)[1]
    d_inside, d_bias, d_label = run(gate_block_gradient)(inside, dy, rate, seed)
    yield from enumerate((dy, d_inside, d_bias, d_inside, d_label))


def normalize_gradients(run, x, mean, variance, scale, offset, epsilon, relu, dy):
    """Of x as if the moments were not its own, whose gradients then are none."""
    settings = (x, mean, variance, scale, offset, epsilon, relu, dy)
    d_scale, d_offset = run(normalize_parameter_gradient)(*settings)
    yield 3, d_scale
    yield 4, d_offset
    yield 0, run(normalize_input_gradient)(*settings, 0 * d_scale, 0 * d_offset, len(x))


def dropout_gradients(run, x, rate, seed, dy):
    yield 0, run(dropout)(dy, rate, seed)


def cross_entropy_gradients(run, logits, targets, dy):
    yield 0, run(cross_entropy_gradient)(logits, targets, dy)


def logistic_mixture_gradients(run, parameters, targets, components, bins, dy):
    yield 0, run(logistic_mixture_gradient)(parameters, targets, dy, components, bins)


PAIRS = [
    (conv2d, "3x3", conv2d_gradients),
    (conv2d, "halving-4x4", conv2d_gradients),
    (conv2d, "odd-size-halved", conv2d_gradients),
    (conv2d, "gaps-between-taps", conv2d_gradients),
    (conv2d, "pointwise", conv2d_gradients),
    (conv2d_input_gradient, "halving-4x4", transposed_conv2d_gradients),
    (conv2d_input_gradient, "3x3", transposed_conv2d_gradients),
    (causal_conv2d, "5x5", causal_conv2d_gradients),
    (causal_conv2d, "5x5-without-centre", causal_conv2d_gradients),
    (causal_attention, "short", attention_gradients),
    (causal_attention, "short-logits-dropped", attention_gradients),
    (causal_attention, "short-weights-dropped", attention_gradients),
    (causal_attention, "two-blocks-and-two-rows", attention_gradients),
    (causal_attention, "one-row-more-than-a-block", attention_gradients),
    (relu, "images", partial(activation_gradients, relu, relu_gradient)),
    (elu, "images", partial(activation_gradients, elu, elu_gradient)),
    (biased_relu, "images", partial(biased_gradients, biased_relu, biased_relu_gradient)),
    (biased_elu, "images", partial(biased_gradients, biased_elu, biased_elu_gradient)),
    (gate, "images", gate_gradients),
    (gate_block, "everything", gate_block_gradients),
    (normalize, "several-parts", normalize_gradients),
    (normalize, "several-parts-relu", normalize_gradients),
    (dropout, "images", dropout_gradients),
    (cross_entropy, "rows", cross_entropy_gradients),
    (logistic_mixture, "vectors", logistic_mixture_gradients),
    (logistic_mixture, "few-bins", logistic_mixture_gradients),
    (logistic_mixture, "edges-only", logistic_mixture_gradients),
    (logistic_mixture, "tiny-and-huge-scales", logistic_mixture_gradients),
]


@pytest.mark.parametrize("version", ["reference", "numba"])
@pytest.mark.parametrize(
    ("forward", "case", "gradients"),
    [pytest.param(*pair, id=f"{pair[0].__name__}-{pair[1]}") for pair in PAIRS],
)
def test_gradient_kernel_is_the_derivative(forward, case, gradients, version):
    rng = np.random.default_rng(1)
    arguments = CASES[forward][case](Draw(np.float64))

    def reference(*moved):
        result = forward.reference(*moved)
        return result[0] if isinstance(result, tuple) else result

    cotangent = rng.standard_normal(reference(*arguments).shape)
    count = 0
    for argument, gradient in gradients(lambda k: k.versions[version], *arguments, cotangent):
        assert_is_gradient(gradient, reference, arguments, argument, cotangent, rng)
        count += 1
    assert count > 0
