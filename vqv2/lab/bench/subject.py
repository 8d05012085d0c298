"""What is measured: one repeatable computation and the arithmetic and memory traffic it implies."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass
class Subject:
    """A computation that one side of a comparison runs again and again.

    run           does it once; what it returns does not matter, unless it extrapolates
    flops         floating-point operations that the formula needs, 2 for each multiply-add
    bytes         what it must read and write at least once: inputs, weights, outputs
    extrapolates  whether `run` returns the seconds of something larger that it stands for
    units         how many of the things called `unit` one run works on
    """

    run: Callable
    flops: int = 0
    bytes: int = 0
    extrapolates: bool = False
    units: int = 1
    unit: str = "run"

    def facts(self):
        """Everything but `run`, a dictionary."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)[1:]}
