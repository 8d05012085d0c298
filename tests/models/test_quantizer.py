"""The quantiser: equations 1 and 3, the start, and what happens to unused codes."""

import numpy as np
import pytest

from vqv2.autodiff import Tensor
from vqv2.models.quantizer import Quantizer, code_usage, usage


def outputs(rng, count=64, dimension=3):
    return Tensor(rng.standard_normal((1, 1, count, dimension)).astype(np.float32), True)


def started(rng, size=8, **settings):
    quantizer = Quantizer(size, 3, **settings)
    quantizer.codebook[...] = rng.standard_normal((size, 3))
    quantizer.started[...] = 1
    return quantizer


def test_codes_are_the_nearest_vectors_and_ties_go_to_the_lowest():
    quantizer = started(np.random.default_rng(0))
    quantizer.codebook[5] = quantizer.codebook[2]
    h = outputs(np.random.default_rng(1)).array
    distances = ((h[..., None, :] - quantizer.codebook) ** 2).sum(-1)
    np.testing.assert_array_equal(quantizer.encode(h), distances.argmin(-1))
    assert quantizer.encode(quantizer.codebook[5:6]) == [2]


@pytest.mark.parametrize("dimension", [2, 5])
def test_outputs_of_another_width_than_the_codebook_are_refused(dimension):
    with pytest.raises(ValueError, match=r"beside the codebook of shape \(8, 3\)"):
        Quantizer(8, 3).encode(np.zeros((4, dimension), np.float32))


def test_it_starts_from_outputs_of_the_first_batch():
    rng = np.random.default_rng(0)
    quantizer, h = Quantizer(8, 3), outputs(rng)
    chosen = []
    quantizer._learn = lambda *_: chosen.append(quantizer.codebook.copy())
    quantizer(h, rng)
    rows = {tuple(row) for row in h.array.reshape(-1, 3)}
    assert {tuple(row) for row in chosen[0]} <= rows
    assert len({tuple(row) for row in chosen[0]}) == 8


def test_evaluation_changes_nothing():
    rng = np.random.default_rng(0)
    quantizer = started(rng)
    before = quantizer.state()
    quantizer(outputs(rng))
    for name, array in quantizer.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_quantise_first_update_after():
    rng = np.random.default_rng(0)
    quantizer = started(rng)
    before = quantizer.codebook.copy()
    quantized, codes, _ = quantizer(outputs(rng), rng)
    np.testing.assert_array_equal(quantized.array, before[codes])
    assert (quantizer.codebook != before).any()


def test_equation_3_against_a_plain_loop():
    rng = np.random.default_rng(0)
    quantizer = started(rng, size=4, decay=0.9, epsilon=1e-5, restart_after=0)
    codebook = quantizer.codebook.astype(np.float64)
    counts, sums = np.zeros(4), np.zeros((4, 3))
    for step in range(1, 6):
        h = outputs(rng, 32)
        rows = h.array.reshape(-1, 3).astype(np.float64)
        codes = ((rows[:, None] - codebook) ** 2).sum(-1).argmin(1)
        for k in range(4):
            counts[k] = 0.9 * counts[k] + 0.1 * (codes == k).sum()
            sums[k] = 0.9 * sums[k] + 0.1 * rows[codes == k].sum(0)
        n, m = counts[:, None] / (1 - 0.9**step), sums / (1 - 0.9**step)
        codebook = (m + 1e-5 * codebook) / (n + 1e-5)
        quantizer(h, rng)
        np.testing.assert_allclose(quantizer.codebook, codebook, rtol=1e-4, atol=1e-5)


def test_after_one_step_a_used_code_is_the_mean_of_its_outputs():
    rng = np.random.default_rng(0)
    quantizer, h = started(rng), outputs(rng)
    _, codes, _ = quantizer(h, rng)
    for code in np.unique(codes):
        mean = h.array[codes == code].mean(axis=0)
        np.testing.assert_allclose(quantizer.codebook[code], mean, rtol=1e-3)


def test_unused_codes_neither_move_nor_explode():
    rng = np.random.default_rng(0)
    quantizer = started(rng, restart_after=0)
    quantizer.codebook[3] = 1000
    for _ in range(300):
        quantizer(outputs(rng), rng)
    np.testing.assert_array_equal(quantizer.codebook[3], [1000] * 3)
    assert np.abs(np.delete(quantizer.codebook, 3, 0)).max() < 10


def test_a_code_that_is_no_longer_used_stays_in_place_however_long():
    quantizer = Quantizer(2, 2, restart_after=0)
    quantizer.codebook[...] = [[50, 50], [0, 0]]
    quantizer.started[...] = 1
    both = np.array([[50, 50], [0, 0]] * 4, np.float32).reshape(1, 1, 8, 2)
    quantizer(Tensor(both), np.random.default_rng(0))
    for _ in range(11_000):  # float32 has no number for 0.99^10300
        quantizer._average(np.array([0, 8], np.float32), np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(quantizer.codebook[0], [50, 50], rtol=1e-5)


def test_a_code_restarts_as_an_output_with_fresh_statistics():
    rng = np.random.default_rng(0)
    quantizer = started(rng, restart_after=5)
    quantizer.codebook[3] = 1000
    for step in range(5):
        h = outputs(rng)
        quantizer(h, rng)
        if step < 4:
            assert quantizer.codebook[3, 0] == 1000
    assert tuple(quantizer.codebook[3]) in {tuple(row) for row in h.array.reshape(-1, 3)}
    assert quantizer.counts[3] == 0 and quantizer.steps[3] == 0 and quantizer.unused[3] == 0
    quantizer(h, rng)  # its own output chooses it, and it moves to the mean at once, not by decay
    codes = quantizer.encode(h.array)
    assert (codes == 3).any()


def test_restarts_bring_a_collapsed_codebook_to_life():
    rng = np.random.default_rng(0)

    def used_after(restart_after):
        quantizer = started(np.random.default_rng(1), size=64, restart_after=restart_after)
        quantizer.codebook += 50  # all far away: the nearest one takes everything
        for _ in range(60):
            quantizer(outputs(rng, 512), rng)
        return len(np.unique(quantizer.encode(outputs(rng, 2048).array)))

    assert used_after(0) <= 3
    assert used_after(10) >= 60


@pytest.mark.parametrize("update", ["ema", "loss"])
def test_gradients_reach_encoder_and_codebook_as_equation_2_says(update):
    rng = np.random.default_rng(0)
    quantizer, h = Quantizer(4, 3, update=update), outputs(rng, 10)
    quantized, codes, losses = quantizer(h, rng)
    chosen = quantizer.decode(codes).copy() if update == "loss" else quantized.array.copy()
    assert set(losses) == {"commitment"} | ({"codebook"} if update == "loss" else set())
    losses["commitment"].backward()
    np.testing.assert_allclose(h.grad, 2 * (h.array - chosen) / h.size, rtol=1e-5, atol=1e-7)
    if update == "loss":
        h.grad = None
        losses["codebook"].backward()
        assert h.grad is None
        expected = np.zeros((4, 3))
        np.add.at(expected, codes.ravel(), (2 * (chosen - h.array) / h.size).reshape(-1, 3))
        np.testing.assert_allclose(quantizer.codebook.grad, expected, rtol=1e-4, atol=1e-7)


def test_fewer_outputs_than_codes_still_start():
    rng = np.random.default_rng(0)
    quantizer = Quantizer(16, 3)
    quantizer(outputs(rng, 4), rng)
    assert np.isfinite(quantizer.codebook).all()


def test_usage():
    assert usage(np.array([5, 5, 0, 0])) == (pytest.approx(2.0), 2)
    assert usage(np.array([7, 0])) == (pytest.approx(1.0), 1)
    assert code_usage(np.array([[0, 0], [1, 1]], np.uint16), 4) == (pytest.approx(2.0), 2)
