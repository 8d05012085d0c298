"""Loss scaling: gradients too small for float16 are made larger (Micikevicius et al., 2018).

float16 has no numbers between 0 and 6e-8, where many gradients of a large model lie. So the loss is
multiplied by a large number before the backward pass, and the gradients are divided by it before
Adam sees them, which is exact for a power of two. Where that makes them overflow, the step is left
out and the number halved; after many steps that went well it is doubled.
"""

import numpy as np

from backends import array_module, kernels, to_host
from vqv2.errors import InputError

FIRST = 2.0**16
GROWS_AFTER = 2000  # steps without overflow
LEAST = 2.0**-14  # overflow at this scale is no matter of scale


class Unscaled:
    """No scaling: what every precision but float16 needs. The interface of `LossScale`."""

    skipped = 0
    may_overflow = False  # gradients, without that being a fault

    def backward(self, loss):
        """The backward pass of a loss."""
        loss.backward()

    def unscale(self, parameters):
        """Whether the step may be taken."""
        return True

    def metrics(self):
        """{name: number} to log."""
        return {}

    def state(self):
        """{name: array} that continuing needs: steps that were left out in float16 before."""
        return {"loss_scale": np.array([0.0, 0, self.skipped])} if self.skipped else {}

    def load_state(self, state):
        """The inverse of `state`, and of that of a `LossScale`."""
        if "loss_scale" in state:
            self.skipped = int(state["loss_scale"][2])


class LossScale(Unscaled):
    """A scale that adapts to what float16 can hold.

    scale     what the loss is multiplied by, a power of two
    good      steps without overflow since it last changed
    skipped   steps left out so far
    """

    def __init__(self):
        self.scale, self.good, self.skipped = FIRST, 0, 0

    @property
    def may_overflow(self):
        """Whether there is a smaller scale to try."""
        return self.scale > LEAST

    def backward(self, loss):
        """The backward pass of the scaled loss, in which numbers may overflow."""
        scale = array_module(loss.array).full_like(loss.array, self.scale)
        with np.errstate(over="ignore", invalid="ignore"):
            loss.backward(scale)

    def unscale(self, parameters):
        """Divide the gradients of {name: parameter} by the scale; whether all are finite.

        When they are not, they are forgotten. The scale is adapted either way. The host waits for
        the device once, to know which. Raises `InputError` where no scale helps.
        """
        overflows = {}
        for parameter in (p for p in parameters.values() if p.grad is not None):
            parameter.grad = gradient = parameter.grad.copy()  # several may have the same array
            if gradient.dtype not in overflows:
                overflows[gradient.dtype] = array_module(gradient).zeros(1, gradient.dtype)
            kernels.unscale(gradient, 1 / self.scale, overflows[gradient.dtype])
        if any(to_host(overflow).any() for overflow in overflows.values()):
            for parameter in parameters.values():
                parameter.grad = None
            self._shrink()
            return False
        self._grow()
        return True

    def _grow(self):
        self.good += 1
        if self.good == GROWS_AFTER:
            self.scale, self.good = 2 * self.scale, 0

    def _shrink(self):
        self.skipped += 1
        if self.scale <= LEAST:
            raise InputError(
                f"gradients overflow in precision float16, even of the loss times {self.scale:g}: "
                "go on with --resume --precision bfloat16, which has the range of float32"
            )
        self.scale, self.good = self.scale / 2, 0

    def metrics(self):
        """The scale, and the number of steps that were left out."""
        return {"loss_scale": self.scale, "skipped_steps": self.skipped}

    def state(self):
        """One array of three numbers."""
        return {"loss_scale": np.array([self.scale, self.good, self.skipped])}

    def load_state(self, state):
        """The inverse of `state`, and of that of an `Unscaled`. Raises `InputError` without one."""
        if "loss_scale" not in state:
            raise InputError("the checkpoint has no loss_scale, which precision float16 needs")
        scale, good, skipped = state["loss_scale"].tolist()
        self.scale, self.good, self.skipped = scale or FIRST, int(good), int(skipped)


def loss_scale(precision):
    """A `LossScale` for float16, whose range is too small for gradients; else `Unscaled`."""
    return LossScale() if precision == "float16" else Unscaled()
