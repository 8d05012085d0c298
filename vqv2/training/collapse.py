"""Noticing that a codebook has collapsed: hardly any of its code vectors are in use."""

import math

PATIENCE = 10  # log lines in a row
SHARE = 0.05  # of the perplexity that a batch's codes could have


def collapse_warnings(lines, config):
    """[sentence] about each level that has just been seen to have collapsed.

    `lines` are the last log lines of training steps, of which PATIENCE + 1 count. A codebook has
    collapsed when the perplexity of a batch's codes was below SHARE of what it could be (K, or the
    number of codes in a batch) in PATIENCE lines in a row; that is said once, at the last of them.
    While codes have not had the time to restart three times, nothing is said.
    """
    if len(lines) < PATIENCE:
        return []
    found = []
    for level, size in zip(config.levels, config.latent_sizes, strict=True):
        most = min(config.codebook_size, config.batch * size**2)
        low = [_is_low(line, level, most, 3 * config.restart_after) for line in lines]
        if all(low[-PATIENCE:]) and low[-PATIENCE - 1 : -PATIENCE] != [True]:
            found.append(_sentence(level, lines[-1], lines[-PATIENCE], most, config.restart_after))
    return found


def _is_low(line, level, most, first_step):
    # A line of a log that was damaged may lack it.
    low = line.get(f"perplexity_{level}", math.inf) < max(2.0, SHARE * most)
    return low and line["step"] >= first_step


def _sentence(level, line, first, most, restart_after):
    restarts = (
        "restart_after is 0: let unused codes restart"
        if not restart_after
        else ("lower learning_rate, or restart_after")
    )
    return (
        f"the codebook of level {level} has collapsed: since step {first['step']} a batch's codes "
        f"have had a perplexity below {max(2.0, SHARE * most):.3g} of {most} possible, now "
        f"{line[f'perplexity_{level}']:.3g} with {line[f'used_{level}']} codes in use; {restarts}"
    )
