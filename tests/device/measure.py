"""One section of what `run.sh` does, as JSON lines: what it found, one object for each thing.

    python -m tests.device.measure ceilings --seconds 30
    python -m tests.device.measure train --scale tiny --on shapes      # without a device

A section is a module in `sections/` with `measure(report, scale)`. What fails, or has no time left,
is a line, too, and the rest goes on; the status is 1 when anything has failed.
"""

import argparse
import contextlib
import gc
import importlib
import json
import statistics
import sys
import time
from pathlib import Path

import backends
from backends import shapes
from vqv2.lab.bench.cases import SCALES

SECTIONS = sorted(path.stem for path in Path(__file__).with_name("sections").glob("*.py"))
ROUNDS = 3  # of which the median is taken
FILLED = 0.02  # seconds of a round: to what takes long, starting it does not matter


class Report:
    """Takes down what a section finds, for `seconds` at most."""

    def __init__(self, section, seconds, write=print):
        self.section, self.write = section, write
        self.begun, self.seconds = time.perf_counter(), seconds
        self.failures = 0

    def say(self, **facts):
        """One line."""
        self.write(json.dumps({"section": self.section, **facts}))

    def tried(self, name, function, **facts):
        """A line with the dictionary that `function()` returns, or with why there is none."""
        if time.perf_counter() - self.begun > self.seconds:
            self.say(name=name, **facts, left_out=f"the {self.seconds:g} seconds are over")
            return
        try:
            found = function()
        except Exception as error:  # of whatever kind: the next thing may work
            self.failures += 1
            found = {"error": f"{type(error).__name__}: {error}"[:600]}
        gc.collect()
        self.say(name=name, **facts, **found)

    def end(self):
        """The last line; the status for the shell."""
        taken = time.perf_counter() - self.begun
        self.say(name="end", seconds=round(taken, 1), failures=self.failures)
        return min(1, self.failures)


def seconds_of_run(run, most=10):
    """Seconds of `run()`: the median of rounds, in each of which it runs several times.

    Each round lies between two events of the device, and the host starts its runs, `most` of them,
    meanwhile; fewer where these already fill the round.
    """
    run()
    first, _ = backends.seconds_of(run)
    runs = max(1, min(most, round(FILLED / first)))

    def run_all():
        for _ in range(runs):
            run()

    return statistics.median(backends.seconds_of(run_all)[0] for _ in range(ROUNDS)) / runs


@contextlib.contextmanager
def device_of_kind(kind):
    """Select what computes: a real "device", "stand-in", "shapes", or no device: "processor"."""
    with contextlib.ExitStack() as stack:
        if kind == "shapes":
            stack.enter_context(shapes.device())
        else:
            if kind == "stand-in":
                from tests.gpu import stand_in

                stack.enter_context(stand_in.installed())
            stack.enter_context(backends.use("numba" if kind == "processor" else "cupy"))
        yield


def main(arguments=None):
    """Run one section; its status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--scale", choices=SCALES, default="device")
    kinds = ("device", "stand-in", "shapes", "processor")
    parser.add_argument("--on", choices=kinds, default="device")
    chosen = parser.parse_args(arguments)
    module = importlib.import_module(f"tests.device.sections.{chosen.section}")
    report = Report(chosen.section, chosen.seconds, lambda line: print(line, flush=True))
    with device_of_kind(chosen.on):
        module.measure(report, chosen.scale)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
