"""Operations, bytes and memory that a device of shapes counts, against counts by hand."""

import dataclasses

import numpy as np
import pytest

import backends
import vqv2.functional as F
from backends import array_module, shapes
from vqv2.autodiff import Tensor
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.lab import counting
from vqv2.lab.bench import sample
from vqv2.lab.bench.cases import TrainingCase, build_model

PAIRS = 0 + 1 + 2 + 3  # of four positions and those before them
LAYERS = {  # inputs, the operation, and the operations of its forward pass by hand
    "linear": ([(2, 3), (3, 4)], F.linear, 2 * 2 * 3 * 4),
    "conv2d": (
        [(2, 6, 6, 3), (4, 4, 3, 5)],
        lambda x, w: F.conv2d(x, w, stride=2, padding=1),
        2 * (2 * 3 * 3) * (4 * 4 * 3 * 5),
    ),
    "conv_transpose2d": (
        [(2, 3, 3, 5), (4, 4, 3, 5)],
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1),
        2 * (2 * 3 * 3) * (4 * 4 * 3 * 5),
    ),
    "causal_conv2d": ([(2, 4, 4, 3), (13, 3, 5)], F.causal_conv2d, 2 * (2 * 4 * 4) * (13 * 3 * 5)),
    "causal_attention": (
        [(2, 4, 3), (2, 4, 3), (2, 4, 5)],
        F.causal_attention,
        2 * 2 * PAIRS * (3 + 5),
    ),
}


def tensors(sizes, given):
    """Tensors on the device of shapes, of which those in `given` need a gradient."""
    arrays = (shapes.new(size, np.float32) for size in sizes)
    return [Tensor(a, requires_grad=i in given) for i, a in enumerate(arrays)]


def backward(operation, inputs):
    """A function that takes the gradients of an operation that has been computed."""
    output = operation(*inputs)
    return lambda: output.backward(array_module(output.array).ones_like(output.array))


@pytest.mark.parametrize("name", LAYERS)
def test_operations_of_a_layer_forward_and_backward(name):
    sizes, operation, forward = LAYERS[name]
    every = range(len(sizes))
    counted = counting.operations(lambda: lambda: operation(*tensors(sizes, every)))
    assert counted == forward
    counted = counting.operations(lambda: backward(operation, tensors(sizes, every)))
    assert counted == 2 * forward
    if name != "causal_attention":  # an image needs no gradient
        assert counting.operations(lambda: backward(operation, tensors(sizes, [1]))) == forward


def test_counting_leaves_the_backend_and_its_device_as_they_were():
    selected = backends.current()
    with shapes.device() as outer:
        counting.operations(lambda: lambda: F.linear(*tensors([(2, 3), (3, 4)], [])))
        assert backends.current() == shapes.NAME and outer.launches == []
        shapes.new(4, np.float32)
        assert outer.pool.most_used > 0
    assert backends.current() == selected
    with pytest.raises(backends.BackendError, match="there is no backend 'shapes'"):
        backends.use(shapes.NAME)  # nobody shall train on it by mistake


def test_a_training_step():
    config = AutoencoderConfig(
        image_size=8, latent_sizes=(4,), hidden_units=4, residual_units=3, layers=1,
        codebook_size=5, codebook_dimension=2,
    )  # fmt: skip
    positions = 2 * 4 * 4
    stack = 9 * 4 * 3 + 3 * 4
    first = 16 * 3 * 2  # 3 channels to hidden / 2; the image gets no gradient
    others = 9 * 2 * 4 + stack + 4 * 2  # encoder, projection
    others += 9 * 2 * 4 + stack + 16 * 4 * 3  # decoder; the transposed one counts its inputs
    search = 3 * positions * 5 * 2
    counted = counting.training_step(TrainingCase(config, batch=2))
    assert counted.operations == 2 * positions * (2 * first + 3 * others) + search
    assert counted.bytes["Adam"] == pytest.approx(9 * 4 * parameters(config), rel=0.05)


def parameters(config):
    return build_model(TrainingCase(config, batch=1)).parameter_count()


PRIOR = PriorConfig(
    hidden_units=4, residual_units=3, layers=2, attention_layers=1, attention_heads=2,
    filter_size=3, output_stack_layers=1, conditioning_blocks=2, conditioning_units=4,
)  # fmt: skip
CASE = TrainingCase(PRIOR, batch=3, size=4, coarser=((5, 2),), classes=2, codes=6)


def test_a_model_of_shapes_has_the_parameters_of_one_with_numbers():
    ours, built = counting.model(CASE), build_model(CASE)
    table = {name: parameter.shape for name, parameter in ours.parameters().items()}
    assert table == {name: parameter.shape for name, parameter in built.parameters().items()}
    assert ours.parameter_table() == built.parameter_table()


def test_recomputation_takes_more_operations_and_less_memory():
    large = dataclasses.replace(CASE, batch=64, size=16, coarser=((5, 8),))
    again = dataclasses.replace(large, config=dataclasses.replace(PRIOR, recompute=True))
    plain, recomputed = counting.training_step(large), counting.training_step(again)
    assert recomputed.operations > 1.2 * plain.operations
    assert recomputed.live < 0.8 * plain.live
    assert again.computed_once() == large


def test_weights_that_a_position_reads():
    """Those of the current row's taps, of what follows, and keys and values of attention."""
    position = counting.sampling(CASE).position
    row_taps = 1 * 4 * 4 + 2 * (2 * 4 * 3)  # one tap on the left, and the centre in the layers
    seconds = 2 * (3 * 8)
    # (What places and codes say to attention is in tables, and is added.)
    attention = 3 * 4 * 2 + 4 * 3 + 2 * 3 + 3 * 8
    output = 4 * 3 + 3 * 8 + 4 * 6
    assert position.operations == 2 * 3 * (row_taps + seconds + attention + output)


def test_drawing_more_maps_reads_the_weights_as_often():
    units = {"hidden_units": 64, "residual_units": 64, "conditioning_units": 64}
    case = dataclasses.replace(CASE, config=dataclasses.replace(CASE.config, **units))
    one, two = (
        sample.traffic(dataclasses.replace(case, batch=batch), "float32") for batch in (1, 2)
    )
    assert one < two < 1.3 * one
    assert sample.traffic(case, "bfloat16") < sample.traffic(case, "float32")
