"""Training steps of the paper's three models, ours."""

import statistics
import time

import backends
from backends.process import device_memory
from tests.device.measure import ROUNDS
from vqv2.lab import counting
from vqv2.lab.bench.cases import build_model, training_case, training_data, training_step

MODELS = ("autoencoder", "prior", "conditioned prior")
PRECISIONS = ("bfloat16", "tf32", "float32")  # the likeliest first, should time run out


def measure(report, scale):
    """One model after the other, each in all precisions."""
    for name in MODELS:
        case = training_case(name, scale)
        begun = time.perf_counter()
        model, data = build_model(case), training_data(case)
        facts = {"batch": case.batch, "built_s": time.perf_counter() - begun}
        for precision in PRECISIONS:
            device_memory.release()
            measured = lambda m=model, d=data, p=precision: _steps(m, d, p)  # noqa: E731
            report.tried(name, measured, precision=precision, **facts)
        del model, data
    for name, planned in _planned_memory(scale).items():
        report.say(name=name, planned_GiB=planned)


def _steps(model, data, precision):
    """Milliseconds of a step, the losses, and the memory that the pool holds."""
    step = training_step(model, data, precision)
    begun = time.perf_counter()
    losses = [step().item()]
    first = time.perf_counter() - begun
    measured = []
    for _ in range(ROUNDS):
        seconds, loss = backends.seconds_of(step)
        measured.append(seconds)
        losses.append(loss.item())
    return {
        "ms": 1e3 * statistics.median(measured),
        "first_s": first,
        "losses": losses,
        "GiB": backends.pool_bytes() / 2**30,
    }


def _planned_memory(scale):
    """What is counted of the models at their batches (`vqv2.lab.counting`), GiB."""
    return {
        name: counting.training_step(training_case(name, scale)).pooled / 2**30 for name in MODELS
    }
