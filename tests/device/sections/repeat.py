"""The same training twice, from the same seeds: every bit of it is the same."""

import numpy as np

from vqv2.lab.bench.cases import build_model, training_case, training_data, training_step

STEPS = 5  # of a tiny case one: it shows that the section runs
PRECISIONS = ("float32", "tf32", "bfloat16")
# As large as fills a device with blocks of threads, which then end in any order.
_CHANGES = {
    "autoencoder": {"batch": 8},
    "prior": {
        "batch": 8,
        "settings": {
            "hidden_units": 128,
            "residual_units": 256,
            "layers": 4,
            "attention_layers": 2,
            "output_stack_layers": 2,
        },
    },
}


def measure(report, scale):
    """Both kinds of model in all precisions."""
    for name, changes in _CHANGES.items():
        case = training_case(name, scale, **(changes if scale == "device" else {}))
        steps = 1 if scale == "tiny" else STEPS
        for precision in PRECISIONS:
            report.tried(
                name, lambda c=case, p=precision, s=steps: _twice(c, p, s), precision=precision
            )


def _twice(case, precision, steps):
    (losses, state), (other_losses, other_state) = (
        _trained(case, precision, steps) for _ in range(2)
    )
    differing = [n for n in state if not np.array_equal(state[n], other_state[n], equal_nan=True)]
    if differing or losses != other_losses:
        raise ValueError(f"{len(differing)} of {len(state)} arrays differ, first {differing[:3]}")
    return {"arrays": len(state), "losses": losses}


def _trained(case, precision, steps):
    model = build_model(case)
    step = training_step(model, training_data(case), precision)
    losses = [step().item() for _ in range(steps)]
    return losses, model.state()
