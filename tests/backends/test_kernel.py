"""Choosing a backend, and kernels that have no version for it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backends
from backends import BackendError, Kernel, kernels
from tests.processes import LONG
from vqv2 import Tensor
from vqv2.functional import mean_squared_error
from vqv2.nn.residual import ResidualBlock


@pytest.fixture(autouse=True)
def restored():
    """The selected backend of before, after every test here."""
    former = backends.current()
    yield
    backends.use(former)


def scale_kernel():
    @Kernel
    def scale(x, factor):
        """x times factor."""
        return x * factor

    return scale


def python(code, **environment):
    """Run `code` in a fresh Python: the finished process, its output as text."""
    kept = {name: value for name, value in os.environ.items() if name != "VQV2_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )


def test_use_as_a_call_stays():
    backends.use("reference")
    assert backends.current() == "reference"
    backends.use("numba")
    assert backends.current() == "numba"


def test_contexts_nest_and_return_to_the_former_choice():
    backends.use("numba")
    with backends.use("reference"):
        assert backends.current() == "reference"
        with backends.use("numba"):
            assert backends.current() == "numba"
        assert backends.current() == "reference"
    assert backends.current() == "numba"


def test_context_returns_after_an_exception_and_lets_it_through():
    backends.use("numba")
    with pytest.raises(ZeroDivisionError), backends.use("reference"):
        raise ZeroDivisionError
    assert backends.current() == "numba"


def test_calling_a_kernel_runs_the_selected_version():
    scale = scale_kernel()

    @scale.version("numba")
    def _fast(x, factor):
        return ("fast", x, factor)

    with backends.use("reference"):
        assert scale(2, 3) == 6
    with backends.use("numba"):
        assert scale(2, factor=3) == ("fast", 2, 3)
    assert scale.__name__ == "scale" and scale.__doc__ == "x times factor."


def test_missing_version_raises_and_never_falls_back():
    scale = scale_kernel()
    with backends.use("numba"), pytest.raises(BackendError, match="scale .*'numba'.*reference"):
        scale(2, 3)


def test_reference_serves_other_backends_only_by_decision():
    scale = scale_kernel()
    scale.version("numba")(scale.reference)
    with backends.use("numba"):
        assert scale(2, 3) == 6


def test_an_error_inside_a_version_is_not_taken_for_a_missing_version():
    @Kernel
    def broken(x):
        return {}[x]

    with backends.use("reference"), pytest.raises(KeyError):
        broken("absent")


@pytest.mark.parametrize("name", ["tensorflow", "Numba", "", "cupy"])
def test_unusable_backend_raises_and_changes_nothing(name):
    if name == "cupy" and backends.why_unavailable(name) is None:
        pytest.skip("there is a device here")
    backends.use("reference")
    with pytest.raises(BackendError, match="choose"):
        backends.use(name)
    assert backends.current() == "reference"


def test_numba_that_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="pip install numba"):
        backends.use("numba")


def test_why_unavailable_is_none_for_what_runs_here():
    assert backends.why_unavailable("reference") is None
    assert backends.why_unavailable("numba") is None


def test_version_with_another_signature_is_refused():
    scale = scale_kernel()
    with pytest.raises(TypeError, match=r"_other\(factor, x\) differs from scale\(x, factor\)"):

        @scale.version("numba")
        def _other(factor, x):
            return x * factor

    assert set(scale.versions) == {"reference"}


@pytest.mark.parametrize(("value", "selected"), [("reference", "reference"), ("", "numba")])
def test_environment_selects_the_backend_at_start(value, selected):
    result = python("import backends; print(backends.current())", VQV2_BACKEND=value)
    assert result.stdout.strip() == selected, result.stderr


def test_unknown_backend_in_the_environment_is_an_error():
    result = python("import backends; backends.current()", VQV2_BACKEND="fastest")
    assert result.returncode != 0
    assert "no backend 'fastest': choose one of reference, numba, cupy" in result.stderr


def test_importing_every_kernel_imports_nothing_heavy():
    result = python(
        "import sys, pkgutil, importlib, backends\n"
        "assert not {'backends.numba', 'backends.cupy'} & set(sys.modules)\n"
        "for m in pkgutil.walk_packages(backends.__path__, 'backends.'):\n"
        "    importlib.import_module(m.name)\n"
        "assert {'backends.numba.conv', 'backends.cupy.engine.cuda'} <= set(sys.modules)\n"
        "print(sorted({'numba', 'cupy', 'matplotlib', 'PIL', 'vqv2'} & set(sys.modules)))"
    )
    assert result.stdout.strip() == "[]", result.stderr


@pytest.fixture
def mine():
    """The code of docs/backends.md that registers "mine", which is taken out again afterwards."""
    page = Path(__file__).parents[2] / "docs/backends.md"
    _, section = page.read_text().split("## A backend of your own")
    yield re.search(r"```python\n(.*?)```", section, re.S)[1]
    backends.use("reference")
    backends.unregister("mine")
    assert "mine" not in kernels.relu.versions
    with pytest.raises(BackendError, match="no backend 'mine': choose one of reference, numba"):
        backends.use("mine")


def residual_block():
    """Output and gradient of a small layer with two kernels of its own, relu and conv2d."""
    layer = ResidualBlock(3, 5, 3, np.random.default_rng(0))
    x = Tensor(np.random.default_rng(1).standard_normal((1, 4, 4, 3)), requires_grad=True)
    y = layer(x)
    mean_squared_error(y, Tensor(np.zeros(y.shape))).backward()
    return y.array, x.grad


def test_the_documented_backend_runs_a_layer_where_the_other_one_serves_what_it_lacks(mine):
    with backends.use("reference"):
        expected = residual_block()
    names = {}
    exec(mine, names)
    calls = []
    kernels.relu.version("mine")(lambda x: calls.append(x) or names["relu"](x))
    assert backends.current() == "mine"
    for result, value in zip(residual_block(), expected, strict=True):
        np.testing.assert_array_equal(result, value)
    assert len(calls) == 1  # the other ReLU of the layer comes with a bias


def test_what_serves_a_backend_may_be_one_that_was_registered(mine):
    exec(mine)
    scale = scale_kernel()
    scale.version("mine")(lambda x, factor: "mine")
    backends.register("yours", otherwise="mine")
    with backends.use("yours"):
        assert scale(2, 3) == "mine"
        with pytest.raises(BackendError, match="the backend 'yours' is in use"):
            backends.unregister("yours")
    with pytest.raises(BackendError, match="the backend 'mine' is in use"):
        backends.unregister("mine")
    backends.unregister("yours")


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda: backends.register("numba", otherwise="reference"), "there is a backend 'numba'"),
        (lambda: backends.register("mine", otherwise="tensorflow"), "no backend 'tensorflow'"),
        (lambda: backends.unregister("numba"), "the backend 'numba' is in use"),
        (lambda: backends.unregister("mine"), "no backend 'mine': choose one of reference"),
        (lambda: scale_kernel().version("mine"), "no backend 'mine': choose one of reference"),
    ],
)
def test_what_cannot_be_registered_is_refused(do, words):
    with pytest.raises(BackendError, match=words):
        do()
    with pytest.raises(BackendError, match="no backend 'mine'"):
        backends.use("mine")
