"""Which classes are asked for: text is a name, a whole number is a place in the list of classes.

Folders may be called by numbers, "0" to "11", and their order need not be that of the numbers. So a
number is refused where a class is called so that has another place, and text that is no name is
taken for a number only where no class is called by one: neither can mean the wrong class.
"""

import numpy as np

from vqv2.errors import InputError


def class_numbers(names, label, count):
    """Numbers (count,), int64, of the classes `names`: of one label for all, or of `count` labels.

    Raises `InputError` for a class that there is not, or that is not certain, and for another
    number of labels.
    """
    find = _Classes(names).number
    try:
        dimensions = np.ndim(label)
    except ValueError:  # lists of several lengths
        dimensions = None
    if dimensions == 0:
        return np.full(count, find(label))
    if dimensions != 1:
        raise InputError("labels must be one class, or a list of classes: they are lists of lists")
    if len(label) != count:
        raise InputError(f"{len(label)} labels were given for {count} samples")
    return np.array([find(one) for one in label], dtype=np.int64)


class _Classes:
    """Names of classes in order, prepared for looking many up."""

    def __init__(self, names):
        self.names = names
        self.places = {name: place for place, name in enumerate(names)}
        self.called = {int(name): place for name, place in self.places.items() if name.isdecimal()}

    def number(self, label):
        """The place of the class that a label means."""
        if isinstance(label, str):
            return self._of_text(label)
        if isinstance(label, int | np.integer) and not isinstance(label, bool):
            return self._of_number(label)
        raise self._unknown(label)

    def _of_text(self, text):
        if text in self.places:
            return self.places[text]
        if not self.called and text.isdecimal() and len(text) < 10:
            number = int(text)
            if number < len(self.names):
                return number
        raise self._unknown(text)

    def _of_number(self, number):
        if not 0 <= number < len(self.names):
            raise self._unknown(int(number))
        called = self.called.get(int(number), number)
        if called != number:
            raise InputError(
                f"class {number} may be number {number}, which is called {self.names[number]!r}, "
                f"or the one that is called {self.names[called]!r}: give the name, as text"
            )
        return int(number)

    def _unknown(self, label):
        names = self.names
        numbers = "" if self.called else f"a number below {len(names)} or "
        return InputError(
            f"there is no class {label!r}: use {numbers}one of "
            f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        )
