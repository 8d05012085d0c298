"""What tests start ends with them: also when they fail, and when something hangs."""

import signal
import sys

import pytest

from tests import processes
from tests.processes import await_moment, finish, is_running, started

FOR_EVER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def test_a_failing_test_leaves_nobody():
    with pytest.raises(ZeroDivisionError), started(FOR_EVER) as process:
        assert process.stdout.readline() == "here\n" and is_running(process.pid)
        1 / 0  # noqa: B018
    assert not is_running(process.pid)


def test_nobody_waits_for_ever(monkeypatch):
    with started(FOR_EVER) as process:
        assert await_moment(process, lambda: True)
        with pytest.raises(AssertionError, match="still running after 0.1 s"):
            finish(process, 0.1)
        monkeypatch.setattr(processes, "LONG", 0.1)
        with pytest.raises(AssertionError, match="has not come"):
            await_moment(process, lambda: False)
    assert not await_moment(process, lambda: False)


def test_ctrl_c_works_where_the_tests_have_to_ignore_it():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with started(FOR_EVER) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            status, _, errors = finish(process)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
    assert status == -signal.SIGINT and "KeyboardInterrupt" in errors
