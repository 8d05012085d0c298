"""The same training steps in ordinary PyTorch, on the same card."""

import gc
import importlib.util
import statistics

from tests.device.measure import ROUNDS
from tests.device.sections.train import MODELS, PRECISIONS
from vqv2.lab.bench.cases import training_case, training_data


def measure(report, scale, compiled=False, precisions=PRECISIONS):
    """One model after the other, each in all precisions; `compiled` by torch.compile."""
    if importlib.util.find_spec("torch") is None:
        report.say(name="PyTorch", left_out="it is not installed")
        return
    from vqv2.lab.bench.peer.train import build_model, to_tensors

    for name in MODELS:
        case = training_case(name, scale)
        model, data = build_model(case), to_tensors(case, training_data(case))
        for precision in precisions:
            measured = lambda m=model, d=data, p=precision: _steps(m, d, p, compiled)  # noqa: E731
            report.tried(name, measured, precision=precision, batch=case.batch)
        del model, data
        gc.collect()


def _steps(model, data, precision, compiled):
    from vqv2.lab.bench.peer import device
    from vqv2.lab.bench.peer.train import training_step

    memory = device.peak_memory()
    memory.start()
    step = training_step(model, data, precision, compiled)
    first, loss = device.seconds_of(step)
    measured = [device.seconds_of(step)[0] for _ in range(ROUNDS)]
    seconds = statistics.median(measured)
    return {
        "ms": 1e3 * seconds,
        "first_s": first,
        "losses": [loss.item()],
        "GiB_above_model": memory.peak() / 2**30,
    }
