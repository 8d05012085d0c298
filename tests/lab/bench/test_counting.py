"""Operations and bytes, against counts by hand."""

import numpy as np

import vqv2.functional as F
from vqv2.autodiff import Tensor
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.lab.bench import sample, train
from vqv2.lab.bench.cases import TrainingCase, training_data
from vqv2.lab.bench.counting import counted


def tensor(*shape):
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def test_convolutions_and_attention():
    with counted() as count:
        F.conv2d(tensor(2, 6, 6, 3), tensor(4, 4, 3, 5), stride=2, padding=1)
    assert count.forward == 2 * (2 * 3 * 3) * (4 * 4 * 3 * 5)
    assert count.backward == 2 * count.forward
    with counted() as count:
        F.conv2d(np.ones((2, 6, 6, 3), np.float32), tensor(4, 4, 3, 5), stride=2, padding=1)
    assert count.backward == count.forward  # an image needs no gradient
    with counted() as count:
        F.conv_transpose2d(tensor(2, 3, 3, 5), tensor(4, 4, 3, 5), stride=2, padding=1)
    assert count.forward == 2 * (2 * 3 * 3) * (4 * 4 * 3 * 5)
    with counted() as count:
        F.causal_conv2d(tensor(2, 4, 4, 3), tensor(13, 3, 5))
    assert count.forward == 2 * (2 * 4 * 4) * (13 * 3 * 5)
    with counted() as count:
        F.causal_attention(tensor(2, 4, 3), tensor(2, 4, 3), tensor(2, 4, 5))
    pairs = 0 + 1 + 2 + 3
    assert count.forward == 2 * 2 * pairs * (3 + 5)
    assert count.backward == 2 * count.forward


def test_counting_stops_with_its_block():
    operation = F.linear
    with counted() as count:
        pass
    F.linear(tensor(2, 3), tensor(3, 4))
    assert F.linear is operation
    assert count.total == 0


def test_autoencoder_step():
    config = AutoencoderConfig(
        image_size=8, latent_sizes=(4,), hidden_units=4, residual_units=3, layers=1,
        codebook_size=5, codebook_dimension=2,
    )  # fmt: skip
    case = TrainingCase(config, batch=2)
    with counted() as count:
        train.build_model(case).loss(*training_data(case))
    positions = 2 * 4 * 4
    stack = 9 * 4 * 3 + 3 * 4
    first = 16 * 3 * 2  # 3 channels to hidden / 2; the image gets no gradient
    others = 9 * 2 * 4 + stack + 4 * 2  # encoder, projection
    others += 9 * 2 * 4 + stack + 16 * 4 * 3  # decoder; the transposed one counts its inputs
    assert count.forward == 2 * positions * (first + others)
    assert count.total == 2 * positions * (2 * first + 3 * others)


PRIOR = PriorConfig(
    hidden_units=4, residual_units=3, layers=2, attention_layers=1, attention_heads=2,
    filter_size=3, output_stack_layers=1, conditioning_blocks=2, conditioning_units=4,
)  # fmt: skip
CASE = TrainingCase(PRIOR, batch=3, size=4, coarser=((5, 2),), classes=2, codes=6)


def test_weights_read_by_sampling():
    by_row, by_position = sample.weights_read(train.build_model(CASE))
    # Rows above: 3 of a 3x3 kernel's taps. Conditions: two gated layers and one attention block.
    assert by_row == 3 * 4 * 4 + 2 * (3 * 4 * 3) + 3 * (4 * 8)
    row_taps = 1 * 4 * 4 + 2 * (2 * 4 * 3)  # one tap on the left, and the centre in the layers
    seconds = 2 * (3 * 8)
    attention = 6 * 2 + 10 * 2 + 10 * 2 + 4 * 3 + 2 * 3 + 3 * 8
    output = 4 * 3 + 3 * 8 + 4 * 6
    assert by_position == row_taps + seconds + attention + output


def test_work_of_a_stretch():
    prior = train.build_model(CASE)
    by_row, by_position = sample.weights_read(prior)
    flops, traffic = sample.work(prior, batch=3, first=1, rows=2)
    others = sum(range(4, 12))  # positions of rows 1 and 2
    assert flops == 2 * 3 * (8 * (by_row + by_position) + others * (2 + 2))
    assert traffic == 4 * (2 * by_row + 8 * by_position)
    assert sample.work(prior, 3, 1, 2, "bfloat16") == (flops, traffic // 2)


def test_a_whole_map_counts_as_a_forward_pass_does():
    prior, (codes, label, coarser) = train.build_model(CASE), training_data(CASE)
    with counted() as count:
        prior(codes, label, coarser)
    with counted() as conditioning:
        prior.condition(coarser)
    flops, _ = sample.work(prior, CASE.batch, 0, CASE.size)
    assert flops + conditioning.forward == count.forward
