"""The conditioning stack against the supplement's pseudo-code, line by line with plain loops."""

import numpy as np
import pytest

from vqv2 import nn
from vqv2.autodiff import Tensor
from vqv2.models.prior import Conditioning
from vqv2.presets import PRESETS


def conv(x, w, b, stride=1):
    """Convolution of one image (H, W, C), odd kernel, zero padding, written as loops."""
    if w.ndim == 2:
        w = w[None, None]
    k, height, width = w.shape[0], x.shape[0] // stride, x.shape[1] // stride
    y = np.zeros((height, width, w.shape[-1])) + b
    for i in range(height):
        for j in range(width):
            for a in range(k):
                for c in range(k):
                    row, column = i * stride + a - k // 2, j * stride + c - k // 2
                    if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                        y[i, j] += x[row, column] @ w[a, c]
    return y


def transposed(x, w, b):
    """2x2 transposed convolution of stride 2 of one image, written as loops."""
    y = np.zeros((2 * x.shape[0], 2 * x.shape[1], w.shape[2])) + b
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for a in range(2):
                for c in range(2):
                    y[2 * i + a, 2 * j + c] += w[a, c] @ x[i, j]
    return y


def resnet_block(h, block):
    """Lines 1-9, with the running statistics of the batch normalisation."""
    norm = block.normalization
    debias = 1 - norm.decay ** int(norm.steps)
    h = (h - norm.mean / debias) / np.sqrt(norm.variance / debias + norm.epsilon)
    h = np.maximum(h * norm.scale.array + norm.offset.array, 0)
    h = np.maximum(conv(h, block.first.weight.array, block.first.bias.array), 0)
    h = np.maximum(conv(h, block.spatial.weight.array, block.spatial.bias.array), 0)
    return conv(h, block.last.weight.array, block.last.bias.array)


def conditioning_stack(h, stack, blocks):
    """Lines 11-28."""
    h = conv(h, stack.enter.weight.array, stack.enter.bias.array)
    for i in range(blocks // 2):
        h = h + resnet_block(h, stack.down_full[i])
    h2 = conv(h, stack.to_half.weight.array, stack.to_half.bias.array, stride=2)
    for i in range(blocks // 2):
        h2 = h2 + resnet_block(h2, stack.down_half[i])
    h3 = conv(h2, stack.to_quarter.weight.array, stack.to_quarter.bias.array, stride=2)
    for i in range(blocks):
        h3 = h3 + resnet_block(h3, stack.quarter[i])
    h2 = h2 + transposed(h3, stack.from_quarter.weight.array, stack.from_quarter.bias.array)
    for i in range(blocks // 2):
        h2 = h2 + resnet_block(h2, stack.up_half[i])
    h = h + transposed(h2, stack.from_half.weight.array, stack.from_half.bias.array)
    for i in range(blocks // 2):
        h = h + resnet_block(h, stack.up_full[i])
    return h


@pytest.mark.parametrize("blocks", [2, 4])
def test_it_is_the_pseudo_code(blocks):
    rng = np.random.default_rng(0)
    stack = nn.ConditioningStack(3, 8, blocks, rng).cast(np.float64)
    for name, parameter in stack.parameters().items():
        if name.endswith(("bias", "offset", "scale")):
            parameter.array += 0.3 * rng.standard_normal(parameter.shape)
    for _ in range(2):
        stack(Tensor(rng.standard_normal((4, 8, 8, 3))), rng)
    x = rng.standard_normal((2, 8, 8, 3))
    expected = np.stack([conditioning_stack(image, stack, blocks) for image in x])
    np.testing.assert_allclose(stack(Tensor(x)).array, expected, rtol=1e-9, atol=1e-9)


def test_twenty_means_sixty_blocks():
    config = PRESETS["imagenet256"].priors[1]
    assert (config.conditioning_blocks, config.conditioning_units) == (20, 1024)
    stack = nn.ConditioningStack(4, 8, config.conditioning_blocks, np.random.default_rng(0))
    groups = (stack.down_full, stack.down_half, stack.quarter, stack.up_half, stack.up_full)
    assert [len(group) for group in groups] == [10, 10, 20, 10, 10]


def test_coarser_codes_are_repeated_over_the_positions_that_they_cover():
    config = PRESETS["demo"].priors[1]
    rng = np.random.default_rng(0)
    conditioning = Conditioning(config, 8, ((5, 2), (6, 4)), rng)
    seen = []
    conditioning.stack = lambda x, _: seen.append(x.array)
    coarse, finer = rng.integers(0, 5, (1, 2, 2)), rng.integers(0, 6, (1, 4, 4))
    conditioning([coarse, finer])
    hidden = config.hidden_units
    for i, j in ((0, 0), (3, 4), (7, 7)):
        first, second = seen[0][0, i, j, :hidden], seen[0][0, i, j, hidden:]
        tables = [embedding.table.array for embedding in conditioning.embeddings]
        np.testing.assert_array_equal(first, tables[0][coarse[0, i // 4, j // 4]])
        np.testing.assert_array_equal(second, tables[1][finer[0, i // 2, j // 2]])
