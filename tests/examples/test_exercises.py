"""The exercises' checks are checked: stubs fail, solutions pass, wrong answers are found out."""

import secrets
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from examples.exercises import checking
from examples.exercises.__main__ import main

EXERCISES = {exercise.name: exercise for exercise in checking.exercises()}
MUTANTS = [
    (name, wrong) for name, exercise in EXERCISES.items() for wrong in exercise.checks().MUTANTS
]


def states(exercise, answer):
    """The states of all checks, and what to read when a test fails. Seeds are fresh."""
    seed = secrets.randbelow(10**6)
    results = checking.run(exercise, answer, exercise.folder / "solution.py", seed)
    return [result.state for result in results], (seed, results)


def test_there_are_ten_or_more_whole_exercises():
    assert len(EXERCISES) >= 10
    for exercise in EXERCISES.values():
        assert {f.name for f in exercise.folder.iterdir() if f.is_file()} >= {
            "exercise.py",
            "hint.md",
            "solution.py",
            "check.py",
        }
        assert len(exercise.checks().MUTANTS) >= 3


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_fails_and_names_its_task(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, checking.load(exercise.folder / "exercise.py"))
    assert set(found) == {"not yet"}, details
    assert all("task" in result.reason for result in details[1])


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_passes(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, checking.load(exercise.folder / "solution.py"))
    assert set(found) == {"right"}, details


@pytest.mark.parametrize(("name", "wrong"), MUTANTS, ids=lambda value: value)
def test_mutant_fails(name, wrong):
    exercise = EXERCISES[name]
    solution = checking.load(exercise.folder / "solution.py")
    mutant = SimpleNamespace(**{**vars(solution), **exercise.checks().MUTANTS[wrong]})
    found, details = states(exercise, mutant)
    assert "wrong" in found, details
    assert "not yet" not in found, details


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("e01", "the mean of the copies", "it is 0.33333 times what is expected, everywhere"),
        ("e03", "the image itself takes its gradient", "changed one of its arguments"),
        ("e04", "codes that are no whole numbers", "dtype float64"),
        ("e04", "ties to the highest", "when of equally near codes the highest is taken"),
        ("e04", "a loop over all vectors", "a loop over all of them is slow"),
        ("e06", "numbers instead of tensors", "the codebook loss is a float64, not a tensor"),
        ("e06", "one cotangent for two arguments", "1 cotangents for 2 inputs"),
        ("e06", "sums instead of means", "when it is a sum, not a mean"),
        ("e06", "beta forgotten", "when it is not multiplied by beta"),
        ("e10", "ReLU after the last layer", "when ReLU follows the last layer, too"),
        ("e10", "recomputes everything", "a layer needs its latest T inputs only"),
        ("e10", "a list outside that grows", "a layer needs its latest T inputs only"),
        ("e10", "views of an array that grows", "a layer needs its latest T inputs only"),
        ("e10", "room for a whole sequence", "latest T inputs are 4003, and the weights 4006"),
        ("e11", "a and b exchanged", "when a and b are exchanged"),
        ("e11", "an array expression", "gate is compiled, but makes an array"),
        ("e11", "an array for every row", "cross_entropy is compiled, but makes an array"),
        ("e11", "one element too many", "gate wrote beyond the end"),
        ("e11", "overwrites the logits", "cross_entropy changed one of its arguments"),
        ("e12", "every thread scales everything", "a thread does one of them"),
        ("e12", "first tile only", "when only the first tile is searched"),
    ],
)
def test_a_report_says_what_the_mistake_is(name, wrong, words):
    assert words in reasons(name, EXERCISES[name].checks().MUTANTS[wrong])


def reasons(name, replacements):
    """All that the checks say against a solution with some functions replaced."""
    answer = vars(checking.load(EXERCISES[name].folder / "solution.py"))
    found = {**answer, **replacements}
    _, (_, results) = states(EXERCISES[name], SimpleNamespace(**found))
    return " ".join(result.reason for result in results)


def clear(parents):
    for given in parents.values():
        given.clear()


SOLUTIONS = {name: checking.load(e.folder / "solution.py") for name, e in EXERCISES.items()}
e01, e02, e03, e05, e07, e08, e09 = (SOLUTIONS[f"e{n:02}"] for n in (1, 2, 3, 5, 7, 8, 9))
SLIPS = [
    ("e01", "undo_broadcasting", lambda c, shape: [[1, 2], [3]], "a list of things of different"),
    ("e01", "undo_broadcasting", lambda c, shape: "sum", "is a str, its dtype <U3: expected"),
    ("e01", "multiply_gradients", lambda a, b, dy: None, "returned None: is a `return` missing?"),
    ("e01", "multiply_gradients", lambda a, b, dy: dy * b, "of b): it returned an ndarray"),
    ("e02", "backward_order", lambda *a: set(e02.backward_order(*a)), "is a set, not a list"),
    ("e02", "backward_order", lambda *a: [[n] for n in e02.backward_order(*a)], "not a node"),
    ("e02", "backward_order", lambda *a: (e02.backward_order(*a), clear(a[1]))[0],
     "backward_order changed the parents"),
    ("e02", "gradients", lambda *a: list(e02.gradients(*a).items()), "a list, not a dictionary"),
    ("e02", "gradients", lambda *a: (e02.gradients(*a), clear(a[2]))[0], "gradients changed the"),
    ("e03", "convolution", lambda x, w: e03.convolution(x, w.swapaxes(0, 1)),
     "when rows and columns of the kernel are exchanged"),
    ("e03", "weight_gradient", lambda *a: e03.weight_gradient(*a) / 2,
     "it is 0.5 times what it should be"),
    ("e04", "nearest_code", lambda v, c: SOLUTIONS["e04"].nearest_code(v, c) + 1,
     "when codes are counted from 1"),
    ("e04", "nearest_code", lambda v, c: (c, 1), "a tuple of things of different shapes"),
    ("e05", "moving_averages", lambda *a: (e05.moving_averages(*a), a[2].fill(0))[0],
     "changed one of its arguments"),
    ("e05", "moving_averages", lambda *a: e05.moving_averages(*a)[0], "2 things, (N, m)"),
    ("e05", "moving_averages", lambda *a: [x.astype(np.float32) for x in e05.moving_averages(*a)],
     "its dtype is float32, so that digits were lost"),
    ("e05", "debiased", lambda a, t, g: np.divide(a, 1 - g**t, out=a), "debiased changed one of"),
    ("e05", "codebook", lambda *a: None, "the codebook is None: is a `return` missing?"),
    ("e05", "codebook", lambda *a: e05.codebook(*a)[1:], "the codebook has shape (4, 3), expected"),
    ("e06", "straight_through", lambda h, e: (e, lambda dy: (dy, None)), "@differentiable above"),
    ("e06", "losses", lambda h, e, beta: None, "losses returned None"),
    ("e07", "causal_taps", lambda k, centre: list(range(k)), "tap 0 is no pair of whole numbers"),
    ("e07", "causal_taps", lambda k, centre: None, "the taps are None: is a `return` missing?"),
    ("e07", "causal_taps", lambda k, centre: 12, "the taps are an int, not a list of pairs"),
    ("e07", "causal_taps", lambda k, c: [(a, b, 0) for a, b in e07.causal_taps(k, c)],
     "tap (0, 0, 0) is no pair"),
    ("e07", "causal_taps", lambda k, c: [(a, b + k) for a, b in e07.causal_taps(k, c)],
     "lies outside the window"),
    ("e07", "causal_taps", lambda k, c: e07.causal_taps(k, c) * 2, "a tap stands there twice"),
    ("e07", "causal_convolution", lambda *a: None, "y is None: is a `return` missing?"),
    ("e07", "causal_convolution", lambda x, *a: (e07.causal_convolution(x, *a), x.fill(0))[0],
     "task 2 changed one of its arguments"),
    ("e08", "weights", lambda q, k: None, "w is None: is a `return` missing?"),
    ("e08", "weights", lambda q, k: e08.weights(q * np.sqrt(q.shape[1]), k),
     "when the scores are not divided by sqrt(d)"),
    ("e08", "attention", lambda q, k, v: e08.weights(q, k).T @ v, "the weights are transposed"),
    ("e09", "adam_step", lambda *a: e09.adam_step(*a)[0], "things, (parameter, mean, square)"),
    ("e09", "peak_step", lambda warmup=0: float("nan"), "is nan, not a whole number from 1"),
    ("e09", "peak_step", lambda warmup=0: [1], "is [1], not a whole number from 1"),
    ("e11", "gate", numba.njit(lambda a, b, out: a.size), "a kernel returns nothing, it writes"),
    ("e11", "gate", numba.njit(lambda a, b, out: None), "gate wrote nothing into out"),
    ("e12", "scale", lambda x, factor, y: None, "keep the line @cuda.jit above it"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function", "slip", "words"), SLIPS)
def test_a_slip_is_named(name, function, slip, words):
    assert words in reasons(name, {function: slip})


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
            ("e01", "undo_broadcasting"), ("e01", "multiply_gradients"), ("e02", "backward_order"),
            ("e02", "gradients"), ("e03", "convolution"), ("e03", "weight_gradient"),
            ("e04", "nearest_code"), ("e05", "moving_averages"), ("e05", "debiased"),
            ("e05", "codebook"), ("e06", "straight_through"), ("e06", "losses"),
            ("e07", "causal_taps"), ("e07", "causal_convolution"), ("e08", "weights"),
            ("e08", "attention"), ("e08", "attention_gradient"), ("e09", "adam_step"),
            ("e09", "learning_rate"), ("e09", "peak_step"),
        ):  # fmt: skip
            said = reasons(name, {function: lambda *a, value=returned, **k: value})
            assert said and "using it as the text says raised" not in said, (name, function, said)


def test_a_function_that_is_missing_is_named():
    exercise = EXERCISES["e08"]
    answer = {k: v for k, v in vars(SOLUTIONS["e08"]).items() if k != "attention"}
    _, (_, results) = states(exercise, SimpleNamespace(**answer))
    assert "there is no `attention` in the file" in [result.reason for result in results]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="plain Python has no compiled code")
def test_a_kernel_from_the_cache_of_numba_is_looked_into(tmp_path):
    answer = tmp_path / "answer.py"
    solution = (EXERCISES["e11"].folder / "solution.py").read_text()
    kernel = (
        "@numba.njit(cache=True)\ndef gate(a, b, out):\n    out[:] = a / (1 + numba.np.exp(-b))\n"
    )
    answer.write_text(f"import numpy\n{solution}\n\n{kernel}".replace("numba.np.", "numpy."))
    for _ in range(2):
        results = checking.run(EXERCISES["e11"], checking.load(answer), answer, seed=1)
        assert "gate is compiled, but makes an array" in " ".join(r.reason for r in results)


def test_numbers_that_differ_look_different_in_a_report():
    with pytest.raises(checking.Wrong, match="is 1.00000001, expected 1 "):
        checking.same(1.00000001, 1.0, "it")


def test_command_line_reports_right_wrong_and_not_yet(tmp_path, capsys):
    assert main(["e01"]) == 1
    assert "not yet" in capsys.readouterr().out
    assert main(["e01", "--file", str(EXERCISES["e01"].folder / "solution.py")]) == 0
    assert "All right." in capsys.readouterr().out
    answer = tmp_path / "e01.py"
    answer.write_text("def undo_broadcasting(cotangent, shape):\n    return cotangent[99]\n")
    assert main(["e01", "--file", str(answer), "--seed", "3"]) == 1
    report = capsys.readouterr().out
    assert "WRONG" in report and "line 2 raised IndexError" in report and "--seed 3" in report
    assert "Traceback" not in report
    answer.write_text("def undo_broadcasting(:\n")
    assert main(["e01", "--file", str(answer)]) == 1
    assert "line 1: SyntaxError" in capsys.readouterr().out


def test_score_card_takes_a_folder_of_answers(tmp_path, capsys):
    (tmp_path / "e06.py").write_text((EXERCISES["e06"].folder / "solution.py").read_text())
    assert main(["--all", "--answers", str(tmp_path)]) == 1
    assert f"1 of {len(EXERCISES)} solved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["e99"], "e01, e02"),
        (["broadcasting"], "e01, e02"),
        (["--file", "x.py"], "goes with one exercise"),
        (["e01", "--answers", "x"], "goes with --all"),
        (["--all", "--answers", "nowhere"], "no folder"),
    ],
)
def test_wrong_usage_is_refused_with_help(arguments, word, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert word in capsys.readouterr().err


def test_endless_answers_end(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(checking, "SECONDS", 0.3)
    answer = tmp_path / "endless.py"
    answer.write_text("def causal_taps(kernel_size, centre):\n    while True:\n        pass\n")
    assert main(["7", "--file", str(answer)]) == 1
    assert "does not come to an end" in capsys.readouterr().out


def test_no_solution_in_a_report(capsys):
    main(["e05", "--seed", "1"])
    report = capsys.readouterr().out
    assert "1 - decay**steps" not in report
