"""Answers to exercises run the library: right ones like the reference, wrong ones not at all."""

import dataclasses

import numpy as np
import pytest

import backends
from examples.exercises import backend, catalogue
from examples.exercises.adapters import ADAPTERS
from tests.small import CONFIG, write_images
from vqv2 import Hierarchy, pipeline

EXERCISES = {e.name: e for e in catalogue.EXERCISES if e.name in ADAPTERS}
SOLUTIONS = backend.read({name: e.folder / "solution.py" for name, e in EXERCISES.items()})


def judged(answers):
    """({kernel: function}, {kernel: verdict}) of answers."""
    found, verdicts = backend.compare(answers, np.random.default_rng(0))
    return found, {verdict.kernel: verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def kernels():
    """All kernels that solutions make."""
    found, verdicts = judged(SOLUTIONS)
    assert [v for v in verdicts.values() if v.state != "yours"] == []
    assert set(found) == set(backend.inputs(np.random.default_rng(0))) and len(found) == 11
    return found


def trained(folder):
    """A hierarchy after all stages, without dropout, and what it encodes and samples."""
    priors = tuple(dataclasses.replace(prior, dropout=0.0, steps=2) for prior in CONFIG.priors)
    autoencoder = dataclasses.replace(CONFIG.autoencoder, steps=3)
    config = dataclasses.replace(CONFIG, autoencoder=autoencoder, priors=priors)
    data = write_images(folder / "images.npz")
    sources = pipeline.open_splits(data, autoencoder)
    run = pipeline.open_or_begin(folder / "run", config, data, sources)
    pipeline.train_autoencoder(run, sources)
    pipeline.extract_codes(run, sources, progress=False)
    for level in config.levels:
        pipeline.train_prior(run, level)
    hierarchy = Hierarchy.load(run.folder)
    parameters = [model.state() for model in (hierarchy.autoencoder, *hierarchy.priors.values())]
    codes = hierarchy.encode(sources["held_out"].batch(np.arange(1)))
    return parameters, codes, hierarchy.sample(2, seed=1)


def test_a_hierarchy_trained_and_sampled_by_answers_is_the_references(kernels, tmp_path):
    for name in ("mine", "reference"):
        (tmp_path / name).mkdir()
    with backend.plugged_in(kernels) as calls:
        mine = trained(tmp_path / "mine")
    assert set(calls) == set(kernels), "a kernel was never called"
    with backends.use("reference"):
        reference = trained(tmp_path / "reference")
    for one, other in zip(mine[0], reference[0], strict=True):
        for name, array in one.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-3, atol=1e-4, err_msg=name)
    for level, codes in mine[1].items():
        np.testing.assert_array_equal(codes, reference[1][level])
    np.testing.assert_allclose(mine[2], reference[2], atol=1e-3)


WRONG = [  # exercise, one of its wrong answers, kernels that it makes wrong
    ("e03", "kernel turned round", {"conv2d"}),
    ("e03", "mean over places", {"conv2d_weight_gradient"}),
    ("e03", "overlaps overwritten", {"conv2d_input_gradient"}),
    ("e04", "not debiased", {"adam_update"}),
    ("e06", "forgets the last, shorter block", {"nearest_code"}),
    ("e07", "a code that is chosen twice counts once", {"codebook_statistics"}),
    ("e10", "sees one place to the right", {"causal_conv2d"}),
    ("e11", "reads itself (off by one)", {"causal_attention", "causal_attention_gradient"}),
    ("e11", "zero gradient of the keys", {"causal_attention_gradient"}),
    ("e16", "a and b exchanged", {"gate_block"}),
    ("e16", "leaves the first code out", {"cross_entropy"}),
]


@pytest.mark.parametrize(("name", "wrong", "spoilt"), WRONG)
def test_a_wrong_answer_is_seen_and_left_to_the_reference(name, wrong, spoilt):
    mutant = EXERCISES[name].checks().MUTANTS[wrong]
    module = SOLUTIONS[name]
    former = {function: getattr(module, function) for function in mutant}
    try:
        vars(module).update(mutant)
        found, verdicts = judged({name: module})
    finally:
        vars(module).update(former)
    assert {k for k, v in verdicts.items() if v.state == "wrong"} == spoilt
    assert all(verdicts[kernel].reason for kernel in spoilt)
    assert not spoilt & set(found)


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "e06.py").write_text("def nearest_code(vectors, codebook):\n    pass\n")
    (tmp_path / "e07.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "e10.py").write_text("def causal_taps(kernel_size, centre):\n    return []\n")
    paths = {name: tmp_path / f"{name}.py" for name in EXERCISES}
    paths["e03"] = EXERCISES["e03"].folder / "exercise.py"
    found, verdicts = judged(backend.read(paths))
    said = {kernel: (verdict.state, verdict.reason) for kernel, verdict in verdicts.items()}
    assert found == {}
    assert said["conv2d"] == ("not yet", "task 1: convolution")
    assert said["adam_update"] == ("not yet", "not handed in")
    assert said["nearest_code"] == ("wrong", "it returned None: is a `return` missing?")
    assert said["codebook_statistics"][0] == "wrong"
    assert "line 1 raised ModuleNotFoundError" in said["codebook_statistics"][1]
    assert said["causal_conv2d"] == ("not yet", "there is no `causal_convolution` in the file")


def test_some_answers_and_an_exception_leave_the_backend_as_it_was(kernels):
    former, name = backends.current(), "gate_block"
    kernel = getattr(backends.kernels, name)
    given = backend.inputs(np.random.default_rng(0))[name]
    with pytest.raises(ZeroDivisionError), backend.plugged_in({name: kernels[name]}) as calls:
        assert backends.current() == backend.NAME
        result, expected = kernel(*given)[0], kernel.reference(*given)[0]
        np.testing.assert_allclose(result, expected, rtol=1e-5)
        assert result.dtype == np.float32
        backends.kernels.relu(given[0])
        assert calls == {name: 1}
        raise ZeroDivisionError
    assert backends.current() == former
    with pytest.raises(backends.BackendError, match="no backend 'mine'"):
        backends.use(backend.NAME)
    assert backend.NAME not in kernel.versions


def test_dropout_is_the_references(kernels):
    given = backend.inputs(np.random.default_rng(0))["causal_attention"][:3]
    dropped = (*given, 0.5, 7, "logits")
    expected = backends.kernels.causal_attention.reference(*dropped)
    with backend.plugged_in(kernels):
        for one, other in zip(backends.kernels.causal_attention(*dropped), expected, strict=True):
            np.testing.assert_array_equal(one, other)
