"""The exercises, in the order of the lessons: titles, minutes, difficulty.

An exercise is a folder `eNN_topic` with

    exercise.py    stubs to fill in; each raises NotImplementedError naming its task
    hint.md        a nudge in the right direction
    solution.py    one right answer
    check.py       CHECKS, functions of (answer, rng) whose docstring says what has to hold and
                   which raise `Wrong` when it does not; and MUTANTS, wrong answers that they must
                   reject: {what is wrong: {name: replacement in the solution}}

What is known of an exercise stands here and not in exercise.py, which belongs to those who fill
it in.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Exercise:
    """One exercise: `lesson` comes before it; `difficulty` is 1 (easy), 2 or 3 (hard)."""

    topic: str
    title: str
    lesson: int
    minutes: int
    difficulty: int

    @property
    def name(self):
        """Such as "e05"."""
        return self.topic[:3]

    @property
    def folder(self):
        """The folder with its four files."""
        return FOLDER / self.topic

    def checks(self):
        """The module check.py."""
        return importlib.import_module(f"examples.exercises.{self.topic}.check")


EXERCISES = (
    Exercise("e01_broadcasting", "The gradient of broadcasting", 1, 20, 1),
    Exercise("e02_own_operation", "An operation of your own, and nudging", 2, 20, 1),
    Exercise("e03_convolution_backward", "The gradient of a convolution", 3, 30, 2),
    Exercise("e04_adam", "Adam, and the paper's learning rate", 4, 20, 1),
    Exercise("e05_straight_through", "Straight through, and who is pulled where", 5, 15, 1),
    Exercise("e06_nearest_code", "Nearest codes, without a matrix of all distances", 5, 20, 2),
    Exercise("e07_codebook_average", "The codebook as a moving average", 5, 25, 2),
    Exercise("e08_two_levels", "Two levels of codes in NumPy", 6, 25, 2),
    Exercise("e09_surprise", "Surprise, in nats", 7, 20, 1),
    Exercise("e10_causal_mask", "The causal mask", 8, 25, 2),
    Exercise("e11_causal_attention", "Causal attention, and its gradient", 9, 40, 3),
    Exercise("e12_conditional_codes", "What the top is worth", 10, 25, 2),
    Exercise("e13_cached_sampling", "Sampling with a cache", 11, 30, 2),
    Exercise("e14_drawing_codes", "Drawing codes, warmer and colder", 12, 25, 2),
    Exercise("e15_topological_order", "The order in which a tape is walked", 12, 45, 3),
    Exercise("e16_numba_kernel", "A Numba kernel", 13, 30, 2),
    Exercise("e17_cuda_kernel", "A CUDA kernel, in the simulator", 13, 45, 3),
)
