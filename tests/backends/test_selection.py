"""Choosing a backend, and kernels that have no version for it."""

import importlib.util
import os
import subprocess
import sys

import pytest

import backends
from backends import BackendError, kernel
from tests.processes import LONG


@pytest.fixture(autouse=True)
def restored():
    """The selected backend of before, after every test here."""
    former = backends.current()
    yield
    backends.use(former)


def scale_kernel():
    @kernel
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
    @kernel(also=("numba",))
    def scale(x):
        return x * 2

    with backends.use("numba"):
        assert scale(2) == 4


def test_an_error_inside_a_version_is_not_taken_for_a_missing_version():
    @kernel
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
        "for m in pkgutil.iter_modules(backends.__path__, 'backends.'):\n"
        "    importlib.import_module(m.name)\n"
        "print(sorted({'numba', 'cupy', 'matplotlib', 'PIL', 'vqv2'} & set(sys.modules)))"
    )
    assert result.stdout.strip() == "[]", result.stderr
