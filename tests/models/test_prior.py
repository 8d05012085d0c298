"""The prior: exact causality, conditioning, gradients, sizes of the paper's models."""

import dataclasses

import numpy as np
import pytest

import vqv2.functional as F
from tests.gradients import check_gradient
from vqv2.autodiff import Tensor, no_grad
from vqv2.config import PriorConfig
from vqv2.errors import InputError
from vqv2.models.prior import Prior, block_kinds
from vqv2.nn import AttentionBlock
from vqv2.nn.attention import positions
from vqv2.optim import Adam
from vqv2.presets import PRESETS

CONFIG = PriorConfig(
    hidden_units=8, residual_units=12, layers=4, attention_layers=2, attention_heads=2,
    output_stack_layers=2, conditioning_blocks=2, conditioning_units=8,
)  # fmt: skip
K, SIZE = 7, 8


def prior(coarser=(), classes=3, seed=0, **changes):
    config = dataclasses.replace(CONFIG, **changes).check()
    model = Prior(config, K, SIZE, np.random.default_rng(seed), coarser, classes)
    rng = np.random.default_rng(seed + 1)
    for parameter in model.parameters().values():  # biases, too, must not be zero
        parameter.array += 0.1 * rng.standard_normal(parameter.shape, dtype=np.float32)
    return model


def inputs(coarser=(), count=2, seed=5):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, K, (count, SIZE, SIZE))
    return codes, np.arange(count) % 3, [rng.integers(0, k, (count, s, s)) for k, s in coarser]


def logits(model, *arguments):
    with no_grad():
        return model(*arguments).array.reshape(len(arguments[0]), SIZE * SIZE, K)


@pytest.mark.parametrize("coarser", [(), ((5, 4),), ((5, 2), (6, 4))])
@pytest.mark.parametrize("second_kernel", [1, 3])
def test_future_codes_have_exactly_no_effect(coarser, second_kernel):
    model = prior(coarser, second_kernel=second_kernel)
    codes, label, coarse = inputs(coarser)
    before = logits(model, codes, label, coarse)
    rng = np.random.default_rng(0)
    for position in range(SIZE * SIZE):
        changed = codes.reshape(2, -1).copy()
        changed[:, position:] = (changed[:, position:] + rng.integers(1, K)) % K
        after = logits(model, changed.reshape(codes.shape), label, coarse)
        np.testing.assert_array_equal(before[:, : position + 1], after[:, : position + 1])
        if position + 1 < SIZE * SIZE:
            assert (before[:, position + 1] != after[:, position + 1]).any()


def test_attention_reaches_further_than_convolutions():
    far = prior(layers=1, attention_layers=1, output_stack_layers=0)
    near = prior(layers=1, attention_layers=0, output_stack_layers=0)
    codes, label, _ = inputs()
    changed = codes.copy()
    changed[:, 0, 0] = (changed[:, 0, 0] + 1) % K
    last = {
        name: (logits(m, codes, label)[:, -1] != logits(m, changed, label)[:, -1]).any()
        for name, m in (("far", far), ("near", near))
    }
    assert last == {"far": True, "near": False}


def test_label_and_coarser_codes_matter_everywhere():
    coarser = ((5, 4),)
    model = prior(coarser)
    codes, label, coarse = inputs(coarser)
    before = logits(model, codes, label, coarse)
    assert (before != logits(model, codes, (label + 1) % 3, coarse)).any(axis=-1).all()
    assert (before != logits(model, codes, label, [(coarse[0] + 1) % 5])).any(axis=-1).all()


def test_class_bias_in_the_output_stack_is_an_option():
    plain, biased = prior(), prior(condition_output_stack=True)
    names = set(biased.parameters()) - set(plain.parameters())
    assert names == {f"output.blocks.{i}.gate.label.table" for i in range(2)}


def test_gradients_of_the_whole_prior():
    coarser = ((5, 4),)
    model = prior(coarser).cast(np.float64)
    codes, label, coarse = inputs(coarser)
    rng = np.random.default_rng(0)
    names = list(model.parameters())
    for name in rng.choice(names, 12, replace=False):
        parameter = model.parameters()[name]
        value = parameter.array

        def loss(tensor, name=name):
            _replace(model, name, tensor)
            return F.cross_entropy(model(codes, label, coarse, rng=np.random.default_rng(3)), codes)

        check_gradient(loss, [value], tolerance=1e-5)
        _replace(model, name, parameter)


def _replace(model, name, tensor):
    *path, last = name.split(".")
    for part in path:
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    setattr(model, last, tensor)


def test_attention_comes_after_every_fifth_layer_in_the_paper():
    kinds = block_kinds(PRESETS["imagenet256"].priors[0])
    assert kinds == (["gated"] * 5 + ["attention"]) * 4
    assert block_kinds(PRESETS["imagenet256"].priors[1]) == ["gated"] * 20
    assert block_kinds(PRESETS["ffhq1024"].priors[1]) == (
        ["gated"] * 5 + ["attention"] + ["gated"] * 15
    )


def test_attention_block_against_a_plain_loop():
    rng = np.random.default_rng(0)
    block = AttentionBlock(8, 12, 2, 0.1, rng).cast(np.float64)
    x, embedded = rng.standard_normal((2, 3, 4, 8)), rng.standard_normal((2, 3, 4, 8))
    grid = positions(3, 4, np.float64)
    read = np.zeros((2, 12, 4))
    for n in range(2):
        for i in range(1, 12):
            for head in range(2):
                part = slice(2 * head, 2 * head + 2)

                def project(layer, *parts, part=part):
                    joined = np.concatenate(parts)
                    return (joined @ layer.weight.array + layer.bias.array)[part]

                at = [divmod(j, 4) for j in range(i + 1)]
                query = project(block.queries, x[n][at[i]], grid[at[i]])
                scores, values = [], []
                for j in range(i):
                    source = (embedded[n][at[j]], x[n][at[j]], grid[at[j]])
                    scores.append(query @ project(block.keys, *source) / np.sqrt(2))
                    values.append(project(block.values, *source))
                weights = np.exp(scores - np.max(scores))
                read[n, i, part] = (weights[:, None] * values).sum(0) / weights.sum()
    expected = block.merge(Tensor(x), Tensor(read.reshape(2, 3, 4, 4))).array
    np.testing.assert_allclose(block(Tensor(x), Tensor(embedded)).array, expected, rtol=1e-10)


def test_dropout_and_batch_statistics_only_in_training():
    coarser = ((5, 4),)
    model = prior(coarser)
    codes, label, coarse = inputs(coarser)
    first = model(codes, label, coarse, rng=np.random.default_rng(0)).array
    assert (first != model(codes, label, coarse, rng=np.random.default_rng(1)).array).any()
    evaluated = logits(model, codes, label, coarse)
    np.testing.assert_array_equal(evaluated, logits(model, codes, label, coarse))
    alone = logits(model, codes[:1], label[:1], [coarse[0][:1]])
    np.testing.assert_allclose(alone, evaluated[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((2, 4, 4), int)}, r"\(2, 4, 4\)"),
        ({"codes": np.full((2, SIZE, SIZE), K)}, f"from 0 to {K - 1}"),
        ({"codes": np.zeros((2, SIZE, SIZE))}, "codes hold float64"),
        ({"label": None}, "needs a class"),
        ({"label": np.array([0, 3])}, "0 to 2"),
        ({"label": np.array([0])}, "2 whole numbers"),
        ({"coarser": []}, "1 coarser"),
        ({"coarser": [np.zeros((1, 4, 4), int)]}, "2 maps of codes, but of coarser codes 1"),
    ],
)
def test_wrong_inputs_are_refused(change, message):
    coarser = ((5, 4),)
    codes, label, coarse = inputs(coarser)
    arguments = {"codes": codes, "label": label, "coarser": coarse, **change}
    with pytest.raises(InputError, match=message):
        prior(coarser)(**arguments)


def test_heads_that_cannot_share_the_channels_are_refused():
    with pytest.raises(InputError, match="3 attention heads do not divide 4 channels"):
        AttentionBlock(8, 8, 3, 0.0, np.random.default_rng(0))


def test_it_learns_a_pattern():
    model = prior(classes=0, dropout=0.0)
    codes = (np.arange(SIZE * SIZE).reshape(1, SIZE, SIZE) * 3 % K).repeat(4, axis=0)
    optimizer = Adam(model.parameters(), 0.9)
    for _ in range(40):
        loss = model.loss(codes, rng=np.random.default_rng(0))
        loss.backward()
        optimizer.step(1e-2)
    assert model.loss(codes).item() < 0.2 < np.log(K)
