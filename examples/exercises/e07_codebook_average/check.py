"""Checks of e07."""

import numpy as np

from examples.exercises.checking import array, same, several, unchanged
from examples.exercises.e07_codebook_average import solution

K, D = 5, 3


def draw(rng):
    """(vectors, codes) of a step; code K - 1 is never chosen."""
    count = int(rng.integers(4, 20))
    return rng.standard_normal((count, D)) + 4, rng.integers(0, K - 1, count)


def slow(history, decay):
    """(N, m) after a history of steps, one vector at a time."""
    counts, sums = np.zeros(K), np.zeros((K, D))
    for vectors, codes in history:
        for k in range(K):
            n, s = 0, np.zeros(D)
            for vector, code in zip(vectors, codes, strict=True):
                if code == k:
                    n, s = n + 1, s + vector
            counts[k] = decay * counts[k] + (1 - decay) * n
            sums[k] = decay * sums[k] + (1 - decay) * s
    return counts, sums


def check_averages(answer, rng):
    """Task 1: one step is the formula's, for codes chosen and not chosen."""
    history = [draw(rng), draw(rng)]
    history[0][1][0] = 0
    history[1][1][:] = np.maximum(history[1][1], 1)  # code 0 is chosen at first, then not
    counts, sums = slow(history[:1], 0.9)
    vectors, codes = history[1]
    got = unchanged(
        [counts, sums, vectors, codes], lambda *a: answer.moving_averages(*a, 0.9), "task 1"
    )
    n, m = slow([(vectors, codes)], 0)
    mistakes = {
        "gamma and 1 - gamma are exchanged": (0.1 * counts + 0.9 * n, 0.1 * sums + 0.9 * m),
        "the averages so far are forgotten": (0.1 * n, 0.1 * m),
        "1 - gamma is forgotten": (0.9 * counts + n, 0.9 * sums + m),
    }
    for i, (found, expected) in enumerate(
        zip(several(got, ("N", "m"), "moving_averages"), slow(history, 0.9), strict=True)
    ):
        same(
            found, expected, "Nm"[i], mistakes={words: pair[i] for words, pair in mistakes.items()}
        )


def check_debiased(answer, rng):
    """Task 2: the debiased average of a constant is that constant, from the first step on."""
    constant, decay, average = rng.standard_normal(3), float(rng.uniform(0.5, 0.99)), np.zeros(3)
    for steps in range(1, 8):
        average = decay * average + (1 - decay) * constant
        got = unchanged([average], lambda a, t=steps: answer.debiased(a, t, decay), "debiased")
        same(
            got,
            constant,
            f"after step {steps}, the average",
            mistakes={"nothing is done": average},
        )


def check_codebook(answer, rng):
    """Task 3: each code is the smoothed mean of its vectors; an unused one keeps its vector."""
    _judge_codebook(answer, rng, [draw(rng) for _ in range(int(rng.integers(1, 6)))])


def check_long_ago(answer, rng):
    """Task 3: a code that was chosen once, long ago, is the smoothed mean of its vector, too."""
    history = [draw(rng) for _ in range(40)]
    for step, (_, codes) in enumerate(history):
        codes[0] = 0
        if step:
            codes[:] = np.maximum(codes, 1)  # code 0 is chosen in the first step only
    _judge_codebook(answer, rng, history)


def _judge_codebook(answer, rng, history):
    decay, steps = 0.8, len(history)
    counts, sums = slow(history, decay)
    former = rng.standard_normal((K, D))
    for epsilon in (1e-5, 0.5):
        with np.errstate(all="ignore"):
            got = unchanged(
                [counts, sums, former],
                lambda n, m, f, e=epsilon: answer.codebook(n, m, steps, decay, f, e),
                "task 3",
            )
        got = array(got, "the codebook", (K, D))
        bias = 1 - decay**steps
        expected = smoothed(counts / bias, sums / bias, former, epsilon)
        mistakes = {
            "nothing is smoothed": smoothed(counts, sums, former, 0),
            "only counts are smoothed": smoothed(counts / bias, sums / bias, former * 0, epsilon),
            "counts and sums are not debiased": smoothed(counts, sums, former, epsilon),
            "only the counts are debiased": smoothed(counts / bias, sums, former, epsilon),
            "only the sums are debiased": smoothed(counts, sums / bias, former, epsilon),
            "a code with a small count is taken for one that was never chosen": np.where(
                counts[:, None] / bias > 0.1, expected, former
            ),
        }
        mistakes = {words: codes[: K - 1] for words, codes in mistakes.items()}
        what = f"after {steps} steps, with epsilon {epsilon}, of the codes"
        same(got[: K - 1], expected[: K - 1], what, mistakes=mistakes)
        same(got[K - 1], expected[K - 1], "the code that was never chosen")


def smoothed(counts, sums, former, epsilon):
    """The codebook from debiased averages, a code at a time; one that was never chosen stays."""
    codes = former.copy()
    for k in range(K):
        if counts[k] > 0:
            codes[k] = (sums[k] + epsilon * former[k]) / (counts[k] + epsilon)
    return codes


def _counts_alone(counts, sums, steps, decay, former, epsilon=1e-5):
    return solution.codebook(counts, sums, steps, decay, former * 0, epsilon)


def _not_smoothed(counts, sums, steps, decay, former, epsilon=1e-5):
    return solution.codebook(counts, sums, steps, decay, former, 1e-12)


def _chosen_only(counts, sums, vectors, codes, decay):
    n, m = solution.moving_averages(counts, sums, vectors, codes, decay)
    idle = np.bincount(codes, minlength=len(counts)) == 0
    return np.where(idle, counts, n), m


def _each_code_once(counts, sums, vectors, codes, decay):
    chosen, added = np.zeros_like(counts), np.zeros_like(sums)
    chosen[codes] += 1  # a code that stands there twice counts once
    added[codes] += vectors
    return decay * counts + (1 - decay) * chosen, decay * sums + (1 - decay) * added


def _small_is_unused(counts, sums, steps, decay, former, epsilon=1e-5):
    codes = solution.codebook(counts, sums, steps, decay, former, epsilon)
    return np.where((counts > 0.1)[:, None], codes, former)


CHECKS = [check_averages, check_debiased, check_codebook, check_long_ago]
MUTANTS = {
    "averages exchanged (gamma for 1 - gamma)": {
        "moving_averages": lambda n, m, v, c, g: solution.moving_averages(n, m, v, c, 1 - g)
    },
    "means instead of sums": {
        "moving_averages": lambda n, m, v, c, g: solution.moving_averages(n, m, v / len(v), c, g)
    },
    "a code that is chosen twice counts once": {"moving_averages": _each_code_once},
    "codes not chosen in a step do not decay": {"moving_averages": _chosen_only},
    "not debiased": {"debiased": lambda average, steps, decay: average},
    "debiased by one step too few": {
        "debiased": lambda a, steps, decay: a / (1 - decay ** max(1, steps - 1))
    },
    "unnormalised": {"codebook": lambda n, m, steps, decay, f, epsilon=1e-5: m},
    "sums not debiased": {
        "codebook": lambda n, m, t, g, f, epsilon=1e-5: solution.codebook(
            n, m * (1 - g**t), t, g, f, epsilon
        )
    },
    "not smoothed": {"codebook": _not_smoothed},
    "only counts are smoothed, unused codes become zero": {"codebook": _counts_alone},
    "a small count is taken for none": {"codebook": _small_is_unused},
}
