"""Finding where numbers stop being finite: the operation, and the layer that called it."""

import contextlib

from backends import array_module
from backends.arrays import widened
from vqv2.errors import InputError
from vqv2.nn.module import watching
from vqv2.operation import watched


class NotFiniteError(ArithmeticError):
    """An operation made, or was given, a number that is not finite; the message says where."""


def check_arrays(arrays, path):
    """Raise `InputError` where one of {name: array}, read from the file `path`, is not finite.

    A sum with NaN in it is NaN, and comparing hides that: such a model draws, and says nothing.
    """
    for name, array in arrays.items():
        if problem := _problem(array):
            raise InputError(
                f"{path} cannot be used: its array {name} has {problem}; restore the file from a "
                "copy, or make it again"
            )


@contextlib.contextmanager
def check_finite(model, backward=True):
    """Inside, the first operation whose output or gradient holds NaN or infinity raises.

    `NotFiniteError` names the operation, the layer of `model` ("blocks.3.first"), and the place in
    the array; what an operation was already given is told from what it made. For debugging: every
    array is looked at once more, and a device is waited for after every operation. Without
    `backward` gradients are not looked at: those of a scaled loss may overflow (`vqv2.optim`).
    """
    trail = []
    names = {id(p.array): name for name, p in model.parameters().items()}
    with watching(_following(model, trail)), watched(_Watch(trail, names, backward)):
        yield


class _Watch:
    """What `watched` calls after each operation."""

    def __init__(self, trail, parameters, backward):
        self.trail = trail  # names of the layers that are being called, outermost first
        self.parameters = parameters  # {id of the array: name}
        self.backward = backward

    def __call__(self, name, inputs, output, gradient):
        where = f"{name}, called by {self.trail[-1] if self.trail else 'the loss'},"
        outputs = output if isinstance(output, tuple) else (output,)
        for array in outputs:
            if problem := _problem(array):
                self._blame_inputs(where, inputs)
                raise NotFiniteError(f"{where} made {problem} of finite numbers, going forward")
        if not self.backward:
            return gradient

        def checked(*cotangents):
            gradients = gradient(*cotangents)
            several = isinstance(gradients, tuple)
            found = [
                _checked(value, f"{where} going backward, made", number, self._name(array))
                for number, (value, array) in enumerate(
                    # The last ones may be left out, where they are constants.
                    zip(gradients if several else (gradients,), inputs, strict=False),
                    start=1,
                )
            ]
            return tuple(found) if several else found[0]

        return checked

    def _blame_inputs(self, where, inputs):
        for number, array in enumerate(inputs, start=1):
            if problem := _problem(array):
                name = self._name(array)
                what = f"the parameter {name}" if name else f"its input {number}"
                raise NotFiniteError(f"{where} was given {problem} in {what}, going forward")

    def _name(self, array):
        return self.parameters.get(id(array))


def _checked(value, where, number, parameter):
    """A gradient, or a function that will compute it, checked."""
    if callable(value):
        return lambda: _checked(value(), where, number, parameter)
    if problem := _problem(value):
        what = f"the parameter {parameter}" if parameter else f"its input {number}"
        raise NotFiniteError(f"{where} {problem} in the gradient of {what}")
    return value


def _problem(array):
    """ "NaN at (0, 3) of (4, 8)" of the first number that is not finite, or None."""
    if getattr(array, "dtype", None) is None or array.dtype.kind != "f":
        return None
    array = widened(array)
    xp = array_module(array)
    finite = xp.isfinite(array)
    if bool(finite.all()):
        return None
    place = tuple(int(axis[0]) for axis in xp.nonzero(~xp.atleast_1d(finite)))
    word = "NaN" if bool(xp.isnan(xp.atleast_1d(array)[place])) else "infinity"
    return f"{word} at {place} of {array.shape}" if array.shape else word


def _following(model, trail):
    """A `watching` function that keeps in `trail` the names of the parts that are being called."""
    names = {id(module): name for name, module in model.modules().items()}

    def follow(module, inputs, run):
        trail.append(names.get(id(module)) or type(module).__name__)
        try:
            return run()
        finally:
            trail.pop()

    return follow
