"""Which class a label means: never another one than its writer had in mind."""

import numpy as np
import pytest

from vqv2.errors import InputError
from vqv2.sampling import class_numbers

WORDS = ("cat", "dog", "emu")
AS_TEXT = tuple(sorted(map(str, range(12))))  # 0, 1, 10, 11, 2, ...: as folders are listed


@pytest.mark.parametrize(
    ("names", "label", "found"),
    [
        (WORDS, "dog", [1, 1]),
        (WORDS, 2, [2, 2]),
        (WORDS, "2", [2, 2]),  # from the command line
        (WORDS, ["emu", np.int64(0)], [2, 0]),
        (WORDS, np.array([2, 1]), [2, 1]),
        (AS_TEXT, "2", [4, 4]),
        (AS_TEXT, "10", [2, 2]),
        (AS_TEXT, 1, [1, 1]),
        (("0", "1", "2"), 2, [2, 2]),
        (("7 up", "2nd"), "1", [1, 1]),
    ],
)
def test_names_and_numbers(names, label, found):
    numbers = class_numbers(names, label, 2)
    assert numbers.tolist() == found and numbers.dtype == np.int64


@pytest.mark.parametrize(
    ("names", "label", "message"),
    [
        (
            AS_TEXT,
            2,
            "2 may be number 2, which is called '10', or the one .* '2': give the name",
        ),
        (AS_TEXT, [0, np.int64(11)], "class 11 may be"),
        (AS_TEXT, np.arange(2) + 2, "class 2 may be"),
        (("01", "02", "03"), 1, "may be number 1, which is called '02', or .* '01'"),
        (("1", "3", "5"), "2", "no class '2': use one of 1, 3, 5$"),
        (WORDS, "3", "no class '3': use a number below 3 or one of cat, dog, emu"),
        (WORDS, -1, "no class -1"),
        (WORDS, True, "no class True"),
        (WORDS, 1.0, "no class 1.0"),
        (WORDS, "9" * 5000, "no class"),
        (WORDS, [["cat"], ["dog"]], "lists of lists"),
        (WORDS, [["cat"], ["dog", "emu"]], "lists of lists"),
        (WORDS, ["cat"], "1 labels were given for 2"),
    ],
)
def test_what_is_not_certain_is_refused(names, label, message):
    with pytest.raises(InputError, match=message):
        class_numbers(names, label, 2)
