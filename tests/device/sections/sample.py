"""Sampling the paper's two priors: rows in the middle of a map."""

import dataclasses

import backends
from backends.process import device_memory
from vqv2.lab.bench.cases import build_model, training_case, training_data
from vqv2.lab.bench.sample import sample_rows, start_map

COUNTS = ((1, "float32"), *((count, "bfloat16") for count in (1, 8, 32, 64, 256)))


def measure(report, scale):
    """Each prior with each number of images; a tiny one with few of them."""
    counts = COUNTS if scale == "device" else COUNTS[:2]
    for name in ("prior", "conditioned prior"):
        case = training_case(name, scale)
        prior = build_model(case)
        for count, storage in counts:
            several = dataclasses.replace(case, batch=count)
            measured = lambda p=prior, c=several, s=storage: _row(p, c, s)  # noqa: E731
            report.tried(name, measured, images=count, storage=storage)
        del prior
        device_memory.release()


def _row(prior, case, storage):
    """Seconds of a row, after one that compiles and records."""
    data = training_data(case)
    starting, sampler = backends.seconds_of(lambda: start_map(prior, case, data, storage))
    sampler.stepper.skip_to(case.size // 2)
    sample_rows(sampler, case, 1)
    seconds, _ = backends.seconds_of(lambda: sample_rows(sampler, case, 1))
    return {
        "ms_of_a_position": 1e3 * seconds / case.size,
        "s_of_an_image": (starting + seconds * case.size) / case.batch,
    }
