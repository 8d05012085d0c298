"""Cases of causal attention, around the size of its blocks."""

from backends import kernels
from backends.numba.attention import TILE
from backends.numba.engine.tile import BLOCK
from tests.cases.draw import table
from tests.cases.elementwise import SEED

# images times heads (or both: heads then lie side by side in memory), positions, width of queries,
# width of values, dropout rate, dropout on
ATTENTIONS = {
    "short": (3, 5, 4, 6, 0.0, "logits"),
    "short-logits-dropped": (3, 5, 4, 6, 0.3, "logits"),
    "short-weights-dropped": (3, 5, 4, 6, 0.3, "weights"),
    "one-block": (2, BLOCK, 3, 2, 0.3, "logits"),
    "one-row-more-than-a-block": (2, BLOCK + 1, 3, 2, 0.3, "weights"),
    "two-blocks-and-two-rows": (2, 2 * BLOCK + 2, 5, 3, 0.3, "logits"),
    "two-blocks-and-two-rows-weights": (1, 2 * BLOCK + 2, 5, 3, 0.7, "weights"),
    "heads-side-by-side": ((2, 3), BLOCK + 7, 4, 5, 0.0, "logits"),
    "heads-side-by-side-dropped": ((2, 3), BLOCK + TILE + 3, 4, 5, 0.3, "logits"),
    "heads-side-by-side-weights-dropped": ((1, 2), 2 * TILE + 1, 8, 8, 0.3, "weights"),
    "one-image-and-head": ((1, 1), 9, 3, 2, 0.3, "weights"),
    "no-heads": ((2, 0), 5, 3, 2, 0.0, "logits"),
    "a-tile-and-a-row": (1, TILE + 1, 4, 4, 0.0, "logits"),
    "one-position": (2, 1, 4, 3, 0.3, "logits"),
    "two-positions-of-width-1": (1, 2, 1, 1, 0.0, "weights"),
    "no-positions": (2, 0, 4, 3, 0.0, "logits"),
    "no-images": (0, 4, 4, 3, 0.3, "weights"),
}


def _rows(batch, length, width, draw):
    """(batch, L, d), or (N, heads, L, d) from a map (N, L, heads, d)."""
    if isinstance(batch, int):
        return draw(batch, length, width)
    images, heads = batch
    return draw(images, length, heads, width).swapaxes(1, 2)


def _causal_attention(batch, length, width, width_out, rate, dropout_on, draw):
    queries, keys, values = (_rows(batch, length, d, draw) for d in (width, width, width_out))
    return queries, keys, values, rate, SEED, dropout_on


def _causal_attention_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    *arrays, rate, seed, dropout_on = _causal_attention(*spec, draw)
    output, log_normalizer = kernels.causal_attention.reference(*arrays, rate, seed, dropout_on)
    d_output = draw(*output.shape)
    forward = (draw.place(output), draw.place(log_normalizer))
    return *arrays, *forward, d_output, rate, seed, dropout_on


CASES = {
    kernels.causal_attention: table(_causal_attention, ATTENTIONS),
    kernels.causal_attention_gradient: table(_causal_attention_gradient, ATTENTIONS),
}
