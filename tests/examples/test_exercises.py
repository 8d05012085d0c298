"""The exercises' checks are checked: stubs fail, solutions pass, wrong answers are found out."""

import ast
import itertools
import re
import secrets
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from examples.exercises import catalogue, checking, grading

ROOT = Path(__file__).parents[2]
EXERCISES = {exercise.name: exercise for exercise in catalogue.EXERCISES}
MUTANTS = [
    (name, wrong) for name, exercise in EXERCISES.items() for wrong in exercise.checks().MUTANTS
]


def states(exercise, answer):
    """The states of all checks, and what to read when a test fails. Seeds are fresh."""
    seed = secrets.randbelow(10**6)
    results = list(grading.run(exercise, answer, exercise.folder / "solution.py", seed))
    return [result.state for result in results], (seed, results)


def test_the_catalogue_is_the_folders_and_every_lesson_has_an_exercise():
    assert list(EXERCISES) == [f"e{number:02}" for number in range(1, len(EXERCISES) + 1)]
    folders = catalogue.FOLDER.glob("e[0-9][0-9]_*/exercise.py")
    assert sorted(f.parent for f in folders) == [e.folder for e in EXERCISES.values()]
    lessons = [exercise.lesson for exercise in EXERCISES.values()]
    assert lessons == sorted(lessons) and set(lessons) == set(range(1, 14))  # lesson 14 runs them
    for exercise in EXERCISES.values():
        assert {"exercise.py", "hint.md", "solution.py", "check.py"} <= {
            f.name for f in exercise.folder.iterdir()
        }
        text = (exercise.folder / "exercise.py").read_text()
        assert ast.get_docstring(ast.parse(text)).split("\n")[0] == f"{exercise.title}."
        assert len(exercise.checks().MUTANTS) >= 3


def test_difficulty_rises_within_a_lesson_and_the_lessons_name_their_exercises():
    for one, other in itertools.pairwise(EXERCISES.values()):
        assert one.lesson < other.lesson or one.difficulty <= other.difficulty
    table = (ROOT / "examples/README.md").read_text()
    for exercise in EXERCISES.values():
        lesson = next((ROOT / "examples").glob(f"{exercise.lesson:02}_*.py"))
        assert re.search(rf"\b{exercise.name}\b", lesson.read_text())
        row = f"| {exercise.name} | {exercise.title} | {exercise.lesson} | {exercise.minutes} |"
        assert f"{row} {'★' * exercise.difficulty} |" in table


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_fails_and_names_its_task(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, grading.load(exercise.folder / "exercise.py"))
    assert set(found) == {"not yet"}, details
    assert all("task" in result.reason for result in details[1])


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_passes(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, grading.load(exercise.folder / "solution.py"))
    assert set(found) == {"right"}, details


@pytest.mark.parametrize(("name", "wrong"), MUTANTS, ids=lambda value: value)
def test_mutant_fails(name, wrong):
    exercise = EXERCISES[name]
    solution = grading.load(exercise.folder / "solution.py")
    mutant = SimpleNamespace(**{**vars(solution), **exercise.checks().MUTANTS[wrong]})
    seed = secrets.randbelow(10**6)
    results = grading.run(exercise, mutant, exercise.folder / "solution.py", seed)
    found = next((result for result in results if result.state != "right"), None)
    assert found is not None and found.state == "wrong", (found, seed)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("e01", "the mean of the copies", "it is 0.33333 times what is expected, everywhere"),
        ("e03", "the cotangent is changed", "changed one of its arguments"),
        ("e06", "codes that are no whole numbers", "dtype float64"),
        ("e06", "ties to the highest", "when of equally near codes the highest is taken"),
        ("e06", "a loop over all vectors", "a loop over all of them is slow"),
        ("e05", "numbers instead of tensors", "the codebook loss is a float64, not a tensor"),
        ("e04", "not debiased", "when the averages are not debiased"),
        ("e04", "epsilon inside the root", "when epsilon is added inside the root"),
        ("e04", "uphill", "when the parameter moves up the gradient, by +"),
        ("e04", "max instead of min", "when the larger branch is taken, max for min"),
        ("e04", "the nearer whole number", "since no way of rounding is always right"),
        ("e05", "h + (e - h), with its rounding", "h + (e - h).detach(), the usual idiom, rounds"),
        ("e05", "one cotangent for two arguments", "1 cotangents for 2 inputs"),
        ("e05", "sums instead of means", "when it is a sum, not a mean"),
        ("e05", "beta forgotten", "when it is not multiplied by beta"),
        ("e01", "nudging instead of a formula", "that is what nudging every number leaves"),
        ("e06", "blocks of differences (500, K, D)", "differences (block, K, D) take D times"),
        ("e07", "not smoothed", "when nothing is smoothed"),
        ("e07", "a small count is taken for none", "is taken for one that was never chosen"),
        ("e15", "walks every path", "there are 2^40 of them"),
        ("e15", "looks through all nodes for each", "through all nodes again for each of them"),
        ("e15", "the last cotangent instead of the sum", "with parents {"),
        ("e13", "ReLU after the last layer", "when ReLU follows the last layer, too"),
        ("e13", "recomputes everything", "a layer needs its latest T inputs only"),
        ("e13", "a list outside that grows", "a layer needs its latest T inputs only"),
        ("e13", "views of an array that grows", "a layer needs its latest T inputs only"),
        ("e13", "room for a whole sequence", "latest T inputs are 4003, and the weights 4006"),
        ("e16", "a and b exchanged", "when a and b are exchanged"),
        ("e16", "an array expression", "gate is compiled, but makes an array"),
        ("e16", "an array for every row", "cross_entropy is compiled, but makes an array"),
        ("e16", "one element too many", "gate wrote beyond the end"),
        ("e16", "overwrites the logits", "cross_entropy changed one of its arguments"),
        ("e17", "every thread scales everything", "a thread does one of them"),
        ("e17", "barriers in a branch", "only 0: on a GPU they wait for ever"),
        ("e17", "some threads return early", "nor behind a return of some of them"),
        ("e17", "no barrier after use", "with no barrier between"),
        ("e17", "shared memory of run-time size", "must be known when the kernel is compiled"),
        ("e17", "NumPy in the kernel", "the kernel uses sum of NumPy, which no GPU has"),
        ("e17", "arithmetic with rows", "computes with one number at a time"),
        ("e17", "first tile only", "when only the first tile is searched"),
    ],
)
def test_a_report_says_what_the_mistake_is(name, wrong, words):
    is_said(words, name, EXERCISES[name].checks().MUTANTS[wrong])


def is_said(words, name, replacements):
    """One of the checks says these words against a solution with some functions replaced."""
    said = []
    for reason in reasons(name, replacements):
        said.append(reason)
        if words in reason:
            return
    raise AssertionError(f"{words!r} is not in {said}")


def reasons(name, replacements):
    """Yield what the checks say against a solution with some functions replaced."""
    path = EXERCISES[name].folder / "solution.py"
    answer = SimpleNamespace(**{**vars(grading.load(path)), **replacements})
    seed = secrets.randbelow(10**6)
    return (result.reason for result in grading.run(EXERCISES[name], answer, path, seed))


def clear(parents):
    for given in parents.values():
        given.clear()


SOLUTIONS = {name: grading.load(e.folder / "solution.py") for name, e in EXERCISES.items()}
e01, e03, e04, e07, e10, e11, e15 = (SOLUTIONS[f"e{n:02}"] for n in (1, 3, 4, 7, 10, 11, 15))
SLIPS = [
    ("e01", "undo_broadcasting", lambda c, shape: [[1, 2], [3]], "a list of things of different"),
    ("e01", "undo_broadcasting", lambda c, shape: "sum", "is a str, its dtype <U3: expected"),
    ("e01", "multiply_gradients", lambda a, b, dy: None, "returned None: is a `return` missing?"),
    ("e01", "multiply_gradients", lambda a, b, dy: dy * b, "of b): it returned an ndarray"),
    ("e15", "backward_order", lambda *a: set(e15.backward_order(*a)), "is a set, not a list"),
    ("e15", "backward_order", lambda *a: [[n] for n in e15.backward_order(*a)], "not a node"),
    ("e15", "backward_order", lambda *a: (e15.backward_order(*a), clear(a[1]))[0],
     "backward_order changed the parents"),
    ("e15", "gradients", lambda *a: list(e15.gradients(*a).items()), "a list, not a dictionary"),
    ("e15", "gradients", lambda *a: (e15.gradients(*a), clear(a[2]))[0], "gradients changed the"),
    ("e03", "convolution", lambda x, w: e03.convolution(x, w.swapaxes(0, 1)),
     "when rows and columns of the kernel are exchanged"),
    ("e03", "weight_gradient", lambda *a: e03.weight_gradient(*a) / 2,
     "it is 0.5 times what it should be"),
    ("e06", "nearest_code", lambda v, c: SOLUTIONS["e06"].nearest_code(v, c) + 1,
     "when codes are counted from 1"),
    ("e06", "nearest_code", lambda v, c: (c, 1), "a tuple of things of different shapes"),
    ("e07", "moving_averages", lambda *a: (e07.moving_averages(*a), a[2].fill(0))[0],
     "changed one of its arguments"),
    ("e07", "moving_averages", lambda *a: e07.moving_averages(*a)[0], "2 things, (N, m)"),
    ("e07", "moving_averages", lambda *a: [x.astype(np.float32) for x in e07.moving_averages(*a)],
     "its dtype is float32, so that digits were lost"),
    ("e07", "debiased", lambda a, t, g: np.divide(a, 1 - g**t, out=a), "debiased changed one of"),
    ("e07", "codebook", lambda *a: None, "the codebook is None: is a `return` missing?"),
    ("e07", "codebook", lambda *a: e07.codebook(*a)[1:], "the codebook has shape (4, 3), expected"),
    ("e05", "straight_through", lambda h, e: (e, lambda dy: (dy, None)), "@differentiable above"),
    ("e05", "losses", lambda h, e, beta: None, "losses returned None"),
    ("e10", "causal_taps", lambda k, centre: list(range(k)), "tap 0 is no pair of whole numbers"),
    ("e10", "causal_taps", lambda k, centre: None, "the taps are None: is a `return` missing?"),
    ("e10", "causal_taps", lambda k, centre: 12, "the taps are an int, not a list of pairs"),
    ("e10", "causal_taps", lambda k, c: [(a, b, 0) for a, b in e10.causal_taps(k, c)],
     "tap (0, 0, 0) is no pair"),
    ("e10", "causal_taps", lambda k, c: [(a, b + k) for a, b in e10.causal_taps(k, c)],
     "lies outside the window"),
    ("e10", "causal_taps", lambda k, c: e10.causal_taps(k, c) * 2, "a tap stands there twice"),
    ("e10", "causal_convolution", lambda *a: None, "y is None: is a `return` missing?"),
    ("e10", "causal_convolution", lambda x, *a: (e10.causal_convolution(x, *a), x.fill(0))[0],
     "task 2 changed one of its arguments"),
    ("e11", "weights", lambda q, k: None, "w is None: is a `return` missing?"),
    ("e11", "weights", lambda q, k: e11.weights(q * np.sqrt(q.shape[1]), k),
     "when the scores are not divided by sqrt(d)"),
    ("e11", "attention", lambda q, k, v: e11.weights(q, k).T @ v, "the weights are transposed"),
    ("e04", "adam_step", lambda *a: e04.adam_step(*a)[0], "things, (parameter, mean, square)"),
    ("e04", "peak_step", lambda warmup=0: float("nan"), "is nan, not a whole number from 1"),
    ("e04", "peak_step", lambda warmup=0: [1], "is [1], not a whole number from 1"),
    ("e16", "gate", numba.njit(lambda a, b, out: a.size), "a kernel returns nothing, it writes"),
    ("e16", "gate", numba.njit(lambda a, b, out: None), "gate wrote nothing into out"),
    ("e16", "gate", numba.njit(lambda a, b, out: a.size + "x"),
     "Numba cannot compile line"),
    ("e17", "scale", lambda x, factor, y: None, "keep the line @cuda.jit above it"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function", "slip", "words"), SLIPS)
def test_a_slip_is_named(name, function, slip, words):
    is_said(words, name, {function: slip})


def test_nothing_that_an_answer_returns_upsets_a_check():
    for returned in (
        None,
        3,
        "text",
        [],
        [[1], [2, 3]],
        (None, None),
        {},
        np.zeros((2, 2)),
        object(),
    ):
        for name, function in (
            ("e01", "undo_broadcasting"), ("e01", "multiply_gradients"), ("e15", "backward_order"),
            ("e15", "gradients"), ("e03", "convolution"), ("e03", "weight_gradient"),
            ("e06", "nearest_code"), ("e07", "moving_averages"), ("e07", "debiased"),
            ("e07", "codebook"), ("e05", "straight_through"), ("e05", "losses"),
            ("e10", "causal_taps"), ("e10", "causal_convolution"), ("e11", "weights"),
            ("e11", "attention"), ("e11", "attention_gradient"), ("e04", "adam_step"),
            ("e04", "learning_rate"), ("e04", "peak_step"),
        ):  # fmt: skip
            said = list(reasons(name, {function: lambda *a, value=returned, **k: value}))
            assert any(said) and "using it as the text says raised" not in " ".join(said), (
                name,
                function,
                said,
            )


def test_a_function_that_is_missing_is_named():
    exercise = EXERCISES["e11"]
    answer = {k: v for k, v in vars(SOLUTIONS["e11"]).items() if k != "attention"}
    _, (_, results) = states(exercise, SimpleNamespace(**answer))
    assert "there is no `attention` in the file" in [result.reason for result in results]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="plain Python has no compiled code")
def test_a_kernel_from_the_cache_of_numba_is_looked_into(tmp_path):
    answer = tmp_path / "answer.py"
    solution = (EXERCISES["e16"].folder / "solution.py").read_text()
    kernel = (
        "@numba.njit(cache=True)\ndef gate(a, b, out):\n    out[:] = a / (1 + numba.np.exp(-b))\n"
    )
    answer.write_text(f"import numpy\n{solution}\n\n{kernel}".replace("numba.np.", "numpy."))
    for _ in range(2):
        results = list(grading.run(EXERCISES["e16"], grading.load(answer), answer, seed=1))
        assert "gate is compiled, but makes an array" in " ".join(r.reason for r in results)


def test_numbers_that_differ_look_different_in_a_report():
    with pytest.raises(checking.Wrong, match="is 1.00000001, expected 1$"):
        checking.same(1.00000001, 1.0, "it")
