"""Ctrl-C while the command is still being imported: one line and the status of an interruption."""

import os
import sys

import pytest

from tests import processes

# Sends itself the signal at the moment when NumPy is about to be imported.
INTERRUPTED = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "numpy":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
{start}
"""
AS_A_SCRIPT = "sys.argv = ['/usr/bin/vqv2', '--version']; from vqv2.cli.main import main; main()"
AS_A_MODULE = (
    "sys.argv = ['-m', '--version']; sys.orig_argv = ['python', '-m', 'vqv2']; import vqv2"
)
AS_A_LIBRARY = "import vqv2"
BY_THE_COMMAND = """
sys.argv = ["vqv2"]
import vqv2.cli.main

def work(_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        print("cleared up", file=sys.stderr)

vqv2.cli.main._main = work
sys.exit(vqv2.cli.main.main())
"""


def run(program):
    program = f"import os, signal, sys\n{program}"
    with processes.started([sys.executable, "-c", program]) as process:
        status, _, error = processes.finish(process)
    return status, error


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("start", [AS_A_SCRIPT, AS_A_MODULE])
def test_an_interruption_while_importing_is_quiet(start):
    assert run(INTERRUPTED.format(start=start)) == (130, "vqv2: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_program_that_imports_vqv2_is_interrupted_as_usual():
    assert "KeyboardInterrupt" in run(INTERRUPTED.format(start=AS_A_LIBRARY))[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_once_it_runs_the_command_clears_up():
    assert run(BY_THE_COMMAND) == (130, "cleared up\nvqv2: interrupted\n")
