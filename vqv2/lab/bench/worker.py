"""A process that measures one side of a comparison, and the object that talks to it.

Each side has its own process, so that neither disturbs the other's thread pools or memory, thread
counts are set before any library reads them, and both can still take turns:

    with Worker("ours", threads=2) as worker:
        worker.build("train", "prior", {"scale": "tiny"})   # {"flops": ..., ...}
        worker.run()                                      # seconds
        worker.peak_bytes()

Parent and worker exchange one JSON object per line.
"""

import contextlib
import gc
import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import backends
from backends.process.threads import SET_HERE
from vqv2.errors import InputError
from vqv2.lab.bench.memory_of_process import peak_memory

THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
)
# Each module has build(name, **options) -> Subject.
SUITES = {
    ("ours", "machine"): "vqv2.lab.bench.machine",
    ("ours", "kernels"): "vqv2.lab.bench.kernels",
    ("ours", "train"): "vqv2.lab.bench.train",
    ("ours", "sample"): "vqv2.lab.bench.sample",
    ("ours", "encode"): "vqv2.lab.bench.encode",
    ("torch", "kernels"): "vqv2.lab.bench.peer.kernels",
    ("torch", "train"): "vqv2.lab.bench.peer.train",
    ("torch", "sample"): "vqv2.lab.bench.peer.sample",
    ("torch-compiled", "train"): "vqv2.lab.bench.peer.compiled",
}
RUNS_ON_DEVICE = 10  # at least, of a turn that is to be filled: then the host is ahead of it


class Worker:
    """A worker process of `side`, "ours" or a peer, with `threads` threads in every pool.

    Raises `InputError` when the worker cannot do what it is asked, such as without PyTorch.
    """

    def __init__(self, side, threads):
        self.side = side
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        for name in SET_HERE:  # by our import, not by the user
            environment.pop(name, None)
        root = str(Path(__file__).parents[2])
        path = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{path}" if path else root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vqv2.lab.bench.worker", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(BrokenPipeError):  # it may have died with a question unread
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def build(self, suite, name, options):
        """Make the subject `name` of a suite the one that `run` runs; its `Subject.facts`."""
        return self._ask(do="build", suite=suite, name=name, options=options)

    def run(self, fill=0.0):
        """Run the subject; the seconds it took, or that it says a larger thing takes.

        Once, or as often as fills `fill` seconds without a pause; then the mean.
        """
        return self._ask(do="run", fill=fill)["seconds"]

    def peak_bytes(self):
        """Most memory held since `build` began, less what was held before; of a device, if any."""
        return self._ask(do="peak")["bytes"]

    def _ask(self, **question):
        with contextlib.suppress(BrokenPipeError):  # then it does not answer, either
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise InputError(
                f"the measuring process of {self.side!r} ended with status {self._process.wait()}"
                " (a negative one names a signal; -9 is usually too little memory)"
            )
        answer = json.loads(answer)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer


class _Server:
    """The worker's own side of the conversation."""

    def __init__(self, side):
        self.side = side
        self.subject = self.seconds_of = self.memory = None

    def answer(self, question):
        """The reply to one question, a dictionary."""
        if question["do"] == "build":
            return self._build(question["suite"], question["name"], question["options"])
        if question["do"] == "run":
            return {"seconds": self._run(question["fill"])}
        return {"bytes": self.memory.peak()}

    def _build(self, suite, name, options):
        self.subject = None  # frees the former one first
        if (self.side, suite) not in SUITES:
            raise InputError(f"the peer {self.side!r} does not measure {suite!r}")
        module = importlib.import_module(SUITES[self.side, suite])
        if self.memory is None:
            self.seconds_of, self.memory = _clock_and_memory(self.side)
        if hasattr(module, "prepare"):
            module.prepare(name)
        gc.collect()
        self.memory.start()
        self.subject = module.build(name, **options)
        return self.subject.facts()

    def _run(self, fill):
        seconds, result = self.seconds_of(self.subject.run)
        if self.subject.extrapolates:
            return result
        runs = math.ceil(fill / seconds)
        if fill and backends.current() == "cupy":
            runs = max(runs, RUNS_ON_DEVICE)
        return self._mean_of(runs) if runs > 1 else seconds

    def _mean_of(self, runs):
        """Mean seconds of runs that follow each other; on a device nothing waits in between."""

        def run_all():
            for _ in range(runs):
                self.subject.run()

        return self.seconds_of(run_all)[0] / runs


def _clock_and_memory(side):
    """(what tells the seconds of a function, what measures memory) where a side computes."""
    if side == "ours":
        return backends.seconds_of, peak_memory()
    device = importlib.import_module("vqv2.lab.bench.peer.device")
    return device.seconds_of, device.peak_memory()


def main(side):
    """Answer questions from standard input until it closes."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get between the replies
    if side != "ours":
        for name in SET_HERE:  # how our threads wait; the peer's shall wait as they do by default
            os.environ.pop(name, None)
    server = _Server(side)
    for line in sys.stdin:
        try:
            reply = server.answer(json.loads(line))
        except InputError as error:
            reply = {"error": str(error)}
        except MemoryError as error:
            reply = {"error": f"{side}: not enough memory ({error})"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])
