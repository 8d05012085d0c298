"""Sums over positions: the same bits whatever the number of threads, and exact enough."""

import os
import subprocess
import sys

import numpy as np

from backends import kernels

DIGEST = """
import hashlib
import numpy as np
from backends import kernels, use
use("numba")
rng = np.random.default_rng(0)
x, dy = rng.standard_normal((2, 5000, 37), dtype=np.float32)
maps, w = x[:640, :32].reshape(2, 10, 32, 32), rng.standard_normal((13, 32, 40), dtype=np.float32)
mean, variance = kernels.moments(x)
results = [mean, variance, kernels.sum_rows(x), ]
results += kernels.normalize_parameter_gradient(x, mean, variance, mean, mean, 1e-5, True, dy)
results += [kernels.mean_squared_error(x, dy)]
y = kernels.causal_conv2d(maps, w, 5)
results += [y, kernels.causal_conv2d_input_gradient(y, w, 5)]
results += [kernels.causal_conv2d_weight_gradient(maps, y, 5, 13)]
print(hashlib.sha256(b"".join(np.asarray(r).tobytes() for r in results)).hexdigest())
"""


def digest(threads, environment):
    environment = {**environment, "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", DIGEST]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def test_no_sum_depends_on_the_number_of_threads():
    digests = {digest(threads, os.environ) for threads in (1, 2, 3)}
    assert len(digests) == 1


def test_a_long_sum_of_a_constant_keeps_its_digits():
    """One running float32 sum would have stopped at 2^24."""
    x = np.ones((2**25, 1), np.float32)
    assert kernels.sum_rows.versions["numba"](x) == 2**25
