"""Other work beside a measurement: it is there inside, and gone afterwards, whatever happens."""

import pytest

from tests import processes
from vqv2.lab.bench import busy


def test_processes_compute_inside_and_are_gone_afterwards(monkeypatch):
    started, start = [], busy.subprocess.Popen
    monkeypatch.setattr(
        busy.subprocess, "Popen", lambda *a, **k: started.append(start(*a, **k)) or started[-1]
    )
    with pytest.raises(ZeroDivisionError), busy.busy(2):
        assert len(started) == 2 and all(processes.is_running(one.pid) for one in started)
        raise ZeroDivisionError
    assert not any(processes.is_running(one.pid) for one in started)
