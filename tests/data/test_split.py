"""The stable choice of held-out images."""

import numpy as np
import pytest

from vqv2.data.split import held_out, split_indices
from vqv2.errors import InputError

KEYS = [f"class/{number}.png" for number in range(4000)]


def test_about_five_percent_are_held_out():
    assert 150 < held_out(KEYS).sum() < 250


def test_choice_is_the_same_on_every_machine():
    assert np.flatnonzero(held_out(KEYS[:100])).tolist() == [25, 33, 42, 47, 83, 85]


def test_an_image_stays_on_its_side_when_others_come_and_go():
    np.testing.assert_array_equal(held_out(KEYS)[:2000], held_out(KEYS[:2000]))


def test_equal_keys_are_on_one_side():
    doubled = held_out([*KEYS, *KEYS])
    np.testing.assert_array_equal(doubled[:4000], doubled[4000:])


@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_both_sides_have_images(count):
    for start in range(0, 400, count):
        assert 1 <= held_out(KEYS[start : start + count]).sum() < count


def test_splits_are_disjoint_and_complete():
    train, rest = (split_indices(KEYS, split, "it") for split in ("train", "held_out"))
    assert sorted([*train, *rest]) == split_indices(KEYS, "all", "it").tolist()


def test_a_single_image_is_for_training():
    assert split_indices(["a"], "train", "it").tolist() == [0]
    with pytest.raises(InputError, match="pictures has a single image"):
        split_indices(["a"], "held_out", "pictures")


def test_unknown_split_is_refused_with_the_closest_one():
    with pytest.raises(InputError, match="'held-out' is not one of .*did you mean 'held_out'"):
        split_indices(KEYS, "held-out", "it")
