"""What to change where a training is much shorter than the one that a setting is meant for.

The paper trains for up to two million steps. Fields that are right for that, and which this project
does not change by itself, may leave a training of a thousand steps with little learned. What adapts
by itself needs no advice: the Polyak average (`vqv2.optim.Adam.average_decay`) and all debiased
averages.
"""

from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.optim import prior_learning_rate

RESTARTS = 10  # chances that an unused code should at least have
SOONEST = 10  # steps until it restarts: in fewer, a code that is just rare may seem unused


def advice(config, validate_every=500):
    """[sentence] about fields of a stage's configuration that its number of steps makes unwise.

    None for the presets at their own lengths. `validate_every` is that of the `Schedule`.
    """
    found = []
    if isinstance(config, PriorConfig):
        found += _warmup(config)
    if isinstance(config, AutoencoderConfig):
        found += _restarts(config)
    if config.steps <= validate_every:
        found.append(
            f"the held-out loss will be known at the end only, after {config.steps} steps: "
            f"--validate-every {max(1, config.steps // 10)} shows how it falls, and keeps the best"
        )
    return found


def _warmup(config):
    """Section A.2's rate peaks where its branches cross, which may be far behind the last step.

    The same peak after a tenth of the steps: the crossing is at step w^(1.5 / (1 + exponent)) for w
    warm-up steps, and the rate there falls with the exponent of that step.
    """
    exponent = config.decay_exponent
    crossing = config.warmup_steps ** (1.5 / (1 + exponent))
    if config.steps >= crossing:
        return []
    peak = max(1, config.steps / 10)
    warmup = max(1, round(peak ** ((1 + exponent) / 1.5)))
    scale = config.learning_rate_scale * (peak / crossing) ** exponent
    share = prior_learning_rate(config.steps, config) / prior_learning_rate(crossing, config)
    return [
        f"the learning rate rises until step {crossing:.0f} (warmup_steps {config.warmup_steps}), "
        f"but this training ends at step {config.steps}, with {share:.1%} of the highest rate: "
        f"--set warmup_steps={warmup} --set learning_rate_scale={scale:.3g} would reach all of it "
        f"at step {peak:.0f}"
    ]


def _restarts(config):
    sooner = max(SOONEST, config.steps // (2 * RESTARTS))
    if config.steps >= RESTARTS * config.restart_after or sooner >= config.restart_after:
        return []  # also for 0: never is somebody's choice
    return [
        f"a code that nothing uses restarts after {config.restart_after} steps (restart_after), "
        f"but this training has only {config.steps}: "
        f"--set restart_after={sooner} lets more codes be of use"
    ]
