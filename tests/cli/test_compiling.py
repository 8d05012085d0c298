"""What is said while kernels are compiled: beneath the bars, and in a log now and then."""

import io
import sys

import pytest

from backends.process import compilation
from vqv2.cli.compiling import compilation_shown
from vqv2.terminal import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self):
        return True


class Compiled:
    """A kernel of which so many specialisations were compiled, in so many seconds."""

    def __init__(self, seconds):
        self.made, self.seconds = 0, seconds

    def counts(self):
        return self.made, 0


@pytest.fixture
def compile_kernels(monkeypatch):
    """Compile so many, each of `seconds`, and return what a stream of this kind was told."""

    def compile_kernels(count, seconds, stream):
        function = Compiled(0.0)
        monkeypatch.setattr(compilation, "_functions", [function])
        monkeypatch.setattr(sys, "stderr", stream)
        with compilation_shown(), progress_bar(9, "top", "step") as bar:
            for _ in range(count):
                function.made += 1
                with compilation.compiling(function):
                    stream.write("@")
                function.seconds += seconds
            bar.update(1)
        with compilation.compiling(function):  # outside, nothing is said
            pass
        return stream.getvalue()

    return compile_kernels


def test_a_terminal_says_how_many_while_one_is_compiled_and_then_forgets_it(compile_kernels):
    first, second, after = compile_kernels(2, 0.1, Terminal()).split("@")
    assert first.count("compiling kernels, once: 1") == 1
    assert second.count("compiling kernels, once: 2") == 1
    assert "compiling" not in after and " " * len("compiling kernels, once: 2") in after


def test_a_log_gets_a_whole_line_after_two_seconds_and_not_one_for_each(compile_kernels):
    assert "compiling" not in compile_kernels(3, 0.1, io.StringIO())
    lines = compile_kernels(5, 1.5, io.StringIO()).replace("@", "").replace("\r", "\n").split("\n")
    assert [line for line in lines if "compiling" in line] == ["compiling kernels, once: 3"]
