"""What `run.sh` does on a device runs whole without one: it cannot rot until there is one."""

import json
from pathlib import Path

import pytest

from tests.device import measure
from tests.gpu import cpu_kernels

ROOT = Path(__file__).parents[2]
NEEDS_TORCH = ("peer", "peer_compiled")


def lines_of(section, on, capsys):
    status = measure.main([section, "--scale", "tiny", "--on", on, "--seconds", "600"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, lines


@pytest.mark.parametrize("section", [s for s in measure.SECTIONS if s not in NEEDS_TORCH])
@pytest.mark.parametrize("on", ["shapes", "stand-in"])
def test_sections_run_whole(section, on, capsys):
    if on == "stand-in" and (reason := cpu_kernels.why_missing()):
        pytest.skip(f"CUDA kernels cannot be run on the processor: {reason}")
    status, lines = lines_of(section, on, capsys)
    assert not [line for line in lines if "error" in line]
    assert status == 0 and lines[-1]["name"] == "end"
    assert len(lines) > 1
