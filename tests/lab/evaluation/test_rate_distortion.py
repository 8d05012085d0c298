"""The figures of the report, by hand."""

import math

import numpy as np
import pytest

from vqv2 import Hierarchy, preset
from vqv2.lab.evaluation import distortion, unigram_nats


class Halves:
    """A "hierarchy" whose top level says 0.5 everywhere and whose bottom level is off by 0.1."""

    level_subsets = (("top",), ("top", "bottom"))

    def encode(self, images):
        return {"image": images}

    def decode(self, codes, subset):
        images = codes["image"]
        return np.full_like(images, 0.5) if subset == ("top",) else images + np.float32(0.1)


class Source:
    """Five images, black and white in turns."""

    def __len__(self):
        return 5

    def batch(self, indices):
        return np.broadcast_to(np.asarray(indices)[:, None, None, None] % 2, (len(indices), 4, 4, 3)
                               ).astype(np.float32)  # fmt: skip


@pytest.mark.parametrize("batch", [1, 2, 5, 32])
def test_distortion_by_level_subset(batch):
    figures = distortion(Halves(), Source(), batch=batch)
    assert list(figures) == [("top",), ("top", "bottom")]
    assert figures["top",].mse == pytest.approx(0.25)
    assert figures["top", "bottom"].mse == pytest.approx(0.01, rel=1e-5)
    assert figures["top", "bottom"].psnr == pytest.approx(20, rel=1e-5)


def test_unigram():
    codes = np.array([[0, 0], [1, 1]], np.uint16)
    # counts (2, 2, 0, 0) plus one: probabilities 3/8, 3/8, 1/8, 1/8
    held_out = np.array([0, 3])
    expected = -(math.log(3 / 8) + math.log(1 / 8)) / 2
    assert unigram_nats(codes, held_out, 4) == pytest.approx(expected)


def test_level_subsets():
    hierarchy = Hierarchy(preset("demo"), (), None, {})
    assert hierarchy.level_subsets == [("top",), ("top", "bottom")]
