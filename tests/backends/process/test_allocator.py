"""Memory that arrays give back is there for the next ones, unless the user wants it otherwise."""

import ctypes
import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import backends
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**21)  # 16 MiB: 4096 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(min(faults() for _ in range(5)))  # the system may move pages meanwhile, never spare them
"""


def has_mallopt():
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


def faults(**variables):
    """Pages that the system had to find for 20 arrays, after 20 others like them."""
    environment = {k: v for k, v in os.environ.items() if "MALLOC" not in k.upper()}
    command = [sys.executable, "-c", PROGRAM]
    return int(subprocess.check_output(command, env={**environment, **variables}))


@pytest.mark.skipif(not has_mallopt(), reason="only glibc can be told to keep freed memory")
def test_arrays_come_from_memory_that_was_freed():
    assert faults() < 20


@pytest.mark.skipif(not has_mallopt(), reason="only glibc can be told to keep freed memory")
@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"},
    ],
    ids=["variable", "tunable"],
)
def test_what_the_user_has_set_stays(variables):
    assert faults(**variables) > 100
