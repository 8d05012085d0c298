"""Adam with Polyak averaging, loss scaling, and the learning-rate schedules of section A.2.

Loss scaling makes gradients larger that are too small for float16 (Micikevicius et al., 2018),
which has no numbers between 0 and 6e-8, where many gradients of a large model lie. So the loss is
multiplied by a large number before the backward pass, and the gradients are divided by it before
Adam sees them, which is exact for a power of two. Where that makes them overflow, the step is left
out and the number halved; after many steps that went well it is doubled.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping

import numpy as np

from backends import Array, array_module, kernels, to_device, to_host
from vqv2.autodiff import GradientError, Tensor
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.errors import InputError

FIRST = 2.0**16  # scale of a loss
GROWS_AFTER = 2000  # steps without overflow
LEAST = 2.0**-14  # overflow at this scale is no matter of scale


class Adam:
    """Adam (Kingma and Ba, 2015) and the moving average of the weights (Polyak), by name.

    `polyak_decay` as in Tables 1 to 3 (0.9999). Not stated in the paper: the average warms up
    (`average_decay`), so that it follows a short training, too. Neither does the paper give beta1,
    beta2, epsilon: here Adam's usual 0.9, 0.999, 1e-8. Codebooks that are averaged by equation 3
    are buffers, not parameters, and have no part in this; those that a loss trains are named in
    `not_averaged`, and their "average" is their present value.

    In `precision` float16 the loss is scaled: then `backward(loss)` has to be
    called in the place of `loss.backward()`, and a step whose gradients overflow is left out.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        polyak_decay: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        not_averaged: frozenset[str] = frozenset(),
        precision: str = "float32",
    ) -> None:
        self.parameters = parameters
        self.polyak_decay = polyak_decay
        self.not_averaged = not_averaged
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.steps = 0
        self.loss_scale = LossScale() if precision == "float16" else Unscaled()
        self._may_step: bool | None = None  # what `unscale` has found out for the next step
        self.mean = {name: _zeros_like(p.array) for name, p in parameters.items()}
        self.square = {name: _zeros_like(p.array) for name, p in parameters.items()}
        self.average = {name: p.array.copy() for name, p in parameters.items()}

    @property
    def average_decay(self) -> float:
        """The decay of the average at update t = `steps`: min(polyak_decay, (1 + t) / (10 + t)).

        An average of about the last t / 9 updates, until `polyak_decay` is reached: 0.9999 at
        update 89 990. The initial weights, random or imported, are forgotten within the first few.
        Without it the shortest training of the paper (57 400 updates) would end with 0.3 % of them
        in its average, one of 1000 with 90 %.
        """
        return min(self.polyak_decay, (1 + self.steps) / (10 + self.steps))

    def backward(self, loss: Tensor) -> None:
        """The backward pass of a loss, scaled where the precision needs it."""
        self.loss_scale.backward(loss)

    def unscale(self) -> bool:
        """Make the gradients those of the loss itself; whether they are finite.

        For who looks at gradients before `step`, which otherwise does this itself. Without loss
        scaling there is nothing to do, and the answer is always true.
        """
        if self._may_step is None:
            self._may_step = self.loss_scale.unscale(self.parameters)
        return self._may_step

    def step(self, learning_rate: float) -> None:
        """One update from every parameter's `grad`, which is forgotten afterwards.

        Raises `GradientError` when a parameter has none: it took no part in the loss.
        """
        may_step, self._may_step = self.unscale(), None
        if not may_step:
            return
        without = [name for name, p in self.parameters.items() if p.grad is None]
        if without:
            raise GradientError(f"no gradient for {len(without)} parameters, such as {without[0]}")
        self.steps += 1
        decay = self.average_decay
        for name, parameter in self.parameters.items():
            kernels.adam_update(
                parameter.array,
                parameter.grad,
                self.mean[name],
                self.square[name],
                self.average[name],
                self.steps,
                learning_rate,
                self.beta1,
                self.beta2,
                self.epsilon,
                0.0 if name in self.not_averaged else decay,
            )
            parameter.grad = None

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters hold their averages: evaluation, decoding, extraction.

        Buffers stay: codebooks of equation 3 and the statistics of BatchNorm are moving averages of
        their own, of training with the latest weights. To average them, too, made held-out losses
        no better, and to estimate them anew beside the averaged weights little. Small models on
        emoji of 32 x 32, a constant rate of 1e-3, `polyak_decay` 0.9999, one run each:

            held-out loss with the buffers           of training   averaged   estimated anew
            autoencoder, 500 steps                       0.02696    0.02717          0.02664
                        1500 steps                       0.02175    0.02179          0.02168
                        3000 steps                       0.02082    0.02077          0.02076
            conditioned prior, 500 steps (nats)           1.6716     1.6719           1.6717
                              1500 steps                  1.5221     1.5228           1.5235

        Nobody has measured it where the decay has reached 0.9999.
        """
        trained = {name: p.array for name, p in self.parameters.items()}
        for name, parameter in self.parameters.items():
            parameter.array = self.average[name]
        try:
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.array = trained[name]

    def state(self) -> dict[str, np.ndarray]:
        """{"mean.NAME", "square.NAME", "average.NAME": array} on the host; `steps` is separate.

        With loss scaling also {"loss_scale": array}.
        """
        groups = {"mean": self.mean, "square": self.square, "average": self.average}
        return self.loss_scale.state() | {
            f"{group}.{name}": to_host(array).copy()
            for group, arrays in groups.items()
            for name, array in arrays.items()
        }

    def load_state(self, state: Mapping[str, Array], steps: int) -> None:
        """The inverse of `state` after `steps` calls of `step`, of which some were left out.

        Raises `InputError` for a missing array or another shape.
        """
        for group, arrays in (
            ("mean", self.mean),
            ("square", self.square),
            ("average", self.average),
        ):
            for name, array in arrays.items():
                value = state.get(f"{group}.{name}")
                if value is None or value.shape != array.shape:
                    raise InputError(f"optimiser state {group}.{name} is missing or does not fit")
                array[...] = to_device(value)
        self.loss_scale.load_state(state)
        self.steps = steps - self.loss_scale.skipped


def _zeros_like(array):
    return array_module(array).zeros_like(array)


def gradient_norm(parameters: dict[str, Tensor]) -> float:
    """The Euclidean norm of all the gradients of {name: Tensor} together, summed in float64."""
    squares = [
        array_module(p.grad).square(p.grad).sum(dtype=np.float64) for p in parameters.values()
    ]
    return math.sqrt(float(to_host(sum(squares))))


def clip_gradients(parameters: dict[str, Tensor], norm: float, limit: float) -> None:
    """Scale the gradients of {name: Tensor}, whose norm is `norm`, to a norm of at most `limit`."""
    if norm > limit:
        for parameter in parameters.values():
            # Out of place: two parameters may have got the same array.
            parameter.grad = parameter.grad * parameter.grad.dtype.type(limit / norm)


def prior_learning_rate(step: int, config: PriorConfig) -> float:
    """The formula of section A.2 for step 1, 2, ...: linear warm-up, then decay.

        scale * h^-0.5 * min(step^-0.35, step * 16000^-1.5)

    with h hidden units and scale 0.18 or 0.324. As printed, the branches cross at step 46 908 =
    16000^(1.5 / 1.35), where the rate peaks: 1.84e-4 (scale 0.18) or 3.32e-4 (0.324) for h = 512.
    """
    rise = step * config.warmup_steps**-1.5
    fall = step**-config.decay_exponent
    return config.learning_rate_scale * config.hidden_units**-0.5 * min(fall, rise)


def autoencoder_learning_rate(step: int, config: AutoencoderConfig) -> float:
    """Table 3's constant rate for step 1, 2, ...; with `decay_learning_rate`, half a cosine.

        rate * (1 + cos(pi * (step - 1) / steps)) / 2

    It begins with the whole rate, and would be zero one step after the last, so that every step
    learns. The paper has no such schedule.
    """
    if not config.decay_learning_rate:
        return config.learning_rate
    done = min(1.0, (step - 1) / config.steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


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
