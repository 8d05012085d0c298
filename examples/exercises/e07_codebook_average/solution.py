"""One answer to e07."""

import numpy as np


def moving_averages(counts, sums, vectors, codes, decay):
    """Statistics of the step, then the average."""
    chosen = np.bincount(codes, minlength=len(counts))
    added = np.zeros_like(sums)
    np.add.at(added, codes, vectors)
    return decay * counts + (1 - decay) * chosen, decay * sums + (1 - decay) * added


def debiased(average, steps, decay):
    """Divide by what a constant 1 would have become."""
    return average / (1 - decay**steps)


def codebook(counts, sums, steps, decay, former, epsilon=1e-5):
    """m / N, both smoothed: unused codes keep their vectors."""
    number = debiased(counts, steps, decay)[:, None]
    return (debiased(sums, steps, decay) + epsilon * former) / (number + epsilon)
