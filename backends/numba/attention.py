"""Attention in tiles of pairs that stay in the cache.

Half of all pairs of positions meet, and each pair costs two short products and an exponential. A
task takes `BLOCK` queries of one image and head as the columns of a tile, and `TILE` keys at a time
as its rows. Then every step is a product by `engine/tile.py` or a loop along the columns: logits
are keys times turned queries, the softmax runs down the rows, and what is read is turned values
times weights. Sums so far are scaled down when a later row has a higher peak.

The gradient goes over the pairs twice, as every sum wants to stay in its task: for queries as
above, for keys and values with keys as columns and queries as rows. Weights are computed again from
the logarithm of their denominators. The formulas are those of `reference/attention.py`, to which
float64, which only tests use, is left.

The loops take arrays (N, heads, L, d), best with heads side by side in memory, as a linear layer
writes them: then nothing is copied. They get the numbers as they lie, and three steps: from one
image, head and position to the next.
"""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, part, prange
from backends.numba.engine.exponential import exp
from backends.numba.engine.hashing import hashed
from backends.numba.engine.tile import BLOCK, add_product
from backends.reference import attention as reference
from backends.reference.elementwise import dropout_numbers

TILE = 48  # rows of a tile, which has 12 KB
LOWEST = np.finfo(np.float32).min


def _scale_and_dropout(queries, rate, seed, dropout_on):
    scale = queries.dtype.type(1 / math.sqrt(queries.shape[-1]))
    numbers = dropout_numbers(rate, seed, queries.dtype)
    return scale, (*numbers, dropout_on == "logits")


def _by_heads(x):
    """(..., L, d) -> (N, heads, L, d); leading axes other than two count as images of one head."""
    return x if x.ndim == 4 else x.reshape(math.prod(x.shape[:-2]), 1, *x.shape[-2:])


@kernels.causal_attention.version("numba")
def causal_attention(queries, keys, values, rate, seed, dropout_on):
    if queries.dtype != np.float32:
        return reference.causal_attention(queries, keys, values, rate, seed, dropout_on)
    arrays = (_by_heads(x) for x in (queries, keys, values))
    settings = _scale_and_dropout(queries, rate, seed, dropout_on)
    output, log_normalizer = _attend(*arrays, *settings)
    return output.reshape(values.shape), log_normalizer.reshape(queries.shape[:-1])


@kernels.causal_attention_gradient.version("numba")
def causal_attention_gradient(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    saved = (output, log_normalizer, d_output)
    if queries.dtype != np.float32:
        return reference.causal_attention_gradient(
            queries, keys, values, *saved, rate, seed, dropout_on
        )
    heads = [_by_heads(x) for x in (queries, keys, values, output)]
    normalizer = log_normalizer.reshape(heads[0].shape[:3])
    settings = _scale_and_dropout(queries, rate, seed, dropout_on)
    gradients = _attend_gradient(*heads, normalizer, _by_heads(d_output), *settings)
    shapes = (x.shape for x in (queries, keys, values))
    return tuple(d.reshape(shape) for d, shape in zip(gradients, shapes, strict=True))


def _attend(queries, keys, values, scale, dropout):
    """What is read (N, heads, L, e), and log_normalizer (N, heads, L).

    dropout  (threshold of `hashed`, seed, factor, whether it falls on logits)
    """
    output = _empty(values.shape)
    log_normalizer = np.empty(queries.shape[:3], np.float32)
    _attend_loop(*map(_rows, (queries, keys, values)), scale, dropout, output, log_normalizer)
    return output.swapaxes(1, 2), log_normalizer


def _attend_gradient(queries, keys, values, output, log_normalizer, d_output, scale, dropout):
    """Gradients with respect to queries, keys and values, of their shapes."""
    d_queries, d_keys, d_values = (_empty(x.shape) for x in (queries, keys, values))
    log_normalizer = np.ascontiguousarray(log_normalizer)
    inner = np.empty_like(log_normalizer)  # sum(dO * O): the first loop finds it, both need it
    shared = (*map(_rows, (queries, keys, values, d_output)), scale, dropout, log_normalizer, inner)
    _query_gradient_loop(*shared, _rows(output), d_queries)
    _key_value_gradient_loop(*shared, d_keys, d_values)
    return tuple(gradient.swapaxes(1, 2) for gradient in (d_queries, d_keys, d_values))


def _empty(shape):
    """An array (N, L, heads, d) for results of shape (N, heads, L, d): heads side by side."""
    n, heads, length, width = shape
    return np.empty((n, length, heads, width), np.float32)


def _rows(x):
    """How loops read (N, heads, L, d): (numbers as they lie, d, steps to next image, head, row)."""
    _, heads, length, width = x.shape
    beside = x.swapaxes(1, 2)
    if beside.flags.c_contiguous:
        return beside.reshape(-1), width, length * heads * width, width, heads * width
    return np.ascontiguousarray(x).reshape(-1), width, heads * length * width, length * width, width


@part
def _blocks(length):
    """Blocks of columns that a head's positions make."""
    return (length + BLOCK - 1) // BLOCK


@part
def _share(task, heads, length):
    """What a task computes: (image and head as one number, image, head, first column, columns)."""
    item, first = task // _blocks(length), task % _blocks(length) * BLOCK
    return item, item // heads, item % heads, first, min(BLOCK, length - first)


@part
def _start(rows, n, head, position):
    _, _, image_step, head_step, step = rows
    return n * image_step + head * head_step + position * step


@part
def _turned(rows, n, head, first, count, scale):
    """(d, BLOCK): scale times `count` rows from the position `first` on, as columns; then zeros."""
    numbers, width, _, _, step = rows
    start = _start(rows, n, head, first)
    columns = np.empty((width, BLOCK), np.float32)
    for c in range(width):
        for i in range(count):
            columns[c, i] = scale * numbers[start + i * step + c]
        for i in range(count, BLOCK):
            columns[c, i] = 0
    return columns


@part
def _turn_back(columns, count, scale, target):
    """The inverse: `count` rows of target (L, d) = scale times columns."""
    for i in range(count):
        for c in range(len(columns)):
            target[i, c] = scale * columns[c, i]


@part
def _pair(rows, n, head, first, columns, tile):
    """tile[r, i] = row first + r times column i."""
    numbers, width, _, _, step = rows
    for r in range(len(tile)):
        for i in range(BLOCK):
            tile[r, i] = 0
    add_product(numbers, _start(rows, n, head, first), step, 1, width, columns, 0, BLOCK, tile)


@part
def _add_weighted(rows, n, head, first, tile, sums):
    """sums (d, BLOCK) += rows from `first` on, turned, times the tile."""
    numbers, _, _, _, step = rows
    add_product(numbers, _start(rows, n, head, first), 1, step, len(tile), tile, 0, BLOCK, sums)


@part
def _limit(column):
    """`column` as the limit of a loop along a tile's columns."""
    return max(0, min(BLOCK, column))


@part
def _draw(dropout, first, row_step, column_step, factors):
    """Dropout's factors of the elements first + r * row_step + i * column_step."""
    threshold, seed, factor, _ = dropout
    for r in range(len(factors)):
        for i in range(BLOCK):
            number = np.uint64(first + r * row_step + i * column_step)
            factors[r, i] = factor if hashed(seed, number) >= threshold else np.float32(0)


@part
def _multiply(tile, factors):
    for r in range(len(tile)):
        for i in range(BLOCK):
            tile[r, i] *= factors[r, i]


@part
def _add_weights(tile, first_allowed, peak, total, shrink):
    """Logits become exp(logit - peak) in place; peaks and sums of columns go on from before.

    first_allowed  column from which on the first row counts; one later for every further row
    shrink         what earlier sums have to be multiplied by, where a peak is higher now
    """
    for i in range(BLOCK):
        shrink[i] = peak[i]
    for r in range(len(tile)):
        for i in range(_limit(first_allowed + r), BLOCK):
            peak[i] = max(peak[i], tile[r, i])
    for i in range(BLOCK):
        shrink[i] = exp(shrink[i] - peak[i])
        total[i] *= shrink[i]
    for r in range(len(tile)):
        for i in range(BLOCK):
            tile[r, i] = exp(tile[r, i] - peak[i])
        for i in range(_limit(first_allowed + r)):
            tile[r, i] = 0
        for i in range(BLOCK):
            total[i] += tile[r, i]


@part
def _finish(read, peak, total, count, output, log_normalizer):
    """Divide what was read by the sums of weights; nothing read is zero."""
    for i in range(count):
        for c in range(len(read)):
            output[i, c] = read[c, i] / total[i] if total[i] != 0 else np.float32(0)
        log_normalizer[i] = peak[i] + math.log(total[i]) if total[i] != 0 else np.float32(0)


@compiled
def _attend_loop(q, k, v, scale, dropout, output, log_normalizer):
    """A task: a block of queries of one image and head, and all keys before the last of them.

                       queries first, first + 1, ... as columns
        keys 0 ...     x x x x x x x x     a tile of TILE keys: logits, then weights; every pair
                       x x x x x x x x     counts
                       ---------------
        keys first     . x x x x x x x     a tile on the diagonal: row r counts from column
        ...            . . x x x x x x     top - first + 1 + r on
                       . . . x x x x x

    Beside the tile the task keeps, for each column, the highest logit so far (peak), the sum of
    exp(logit - peak) (total), and the values read so far with these weights (read, turned). Where a
    tile raises a peak, total and read are scaled down by `shrink`. At the end read / total goes to
    the task's own rows of the output.
    """
    images, length, heads, width_out = output.shape
    drops, on_logits = dropout[0] > 0, dropout[3]
    for task in prange(images * heads * _blocks(length)):
        item, n, head, first, count = _share(task, heads, length)
        queries = _turned(q, n, head, first, count, scale)
        peak, shrink = np.full(BLOCK, LOWEST), np.empty(BLOCK, np.float32)
        total = np.zeros(BLOCK, np.float32)
        read = np.zeros((width_out, BLOCK), np.float32)
        tiles = np.empty((2, TILE, BLOCK), np.float32)
        end = first + count - 1  # keys before the last query
        for top in range(0, end, TILE):
            rows = min(TILE, end - top)
            weights, factors = tiles[0, :rows], tiles[1, :rows]
            _pair(k, n, head, top, queries, weights)
            if drops:
                _draw(dropout, (item * length + first) * length + top, 1, length, factors)
            if drops and on_logits:
                _multiply(weights, factors)
            _add_weights(weights, top - first + 1, peak, total, shrink)
            if drops and not on_logits:
                _multiply(weights, factors)
            for c in range(width_out):
                for i in range(BLOCK):
                    read[c, i] *= shrink[i]
            _add_weighted(v, n, head, top, weights, read)
        output_rows, normalizers = output[n, first:, head], log_normalizer[n, head, first:]
        _finish(read, peak, total, count, output_rows, normalizers)


@compiled
def _query_gradient_loop(q, k, v, dy, scale, dropout, log_normalizer, inner, y, d_queries):
    """A task: the gradients of a block of queries, with tiles as in `_attend_loop`.

    A tile's logits become weights P by the normalizer, and beside it stands dO V^T, which becomes
    dS = P * (dO V^T - inner). The gradient, turned, adds up K^T dS of all tiles. The task also
    writes `inner` of its queries, for the loop that follows.
    """
    images, length, heads, _ = d_queries.shape
    drops, on_logits = dropout[0] > 0, dropout[3]
    for task in prange(images * heads * _blocks(length)):
        item, n, head, first, count = _share(task, heads, length)
        queries = _turned(q, n, head, first, count, scale)
        outputs = _turned(y, n, head, first, count, np.float32(1))
        d_outputs = _turned(dy, n, head, first, count, np.float32(1))
        normalizer, mean = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
        for c in range(len(outputs)):
            for i in range(count):
                mean[i] += d_outputs[c, i] * outputs[c, i]
        for i in range(count):
            normalizer[i] = log_normalizer[n, head, first + i]
            inner[n, head, first + i] = mean[i]
        gradient = np.zeros(queries.shape, np.float32)
        tiles = np.empty((3, TILE, BLOCK), np.float32)
        end = first + count - 1
        for top in range(0, end, TILE):
            rows = min(TILE, end - top)
            logits, d_logits, factors = tiles[0, :rows], tiles[1, :rows], tiles[2, :rows]
            _pair(k, n, head, top, queries, logits)
            _pair(v, n, head, top, d_outputs, d_logits)
            if drops:
                _draw(dropout, (item * length + first) * length + top, 1, length, factors)
                _multiply(logits if on_logits else d_logits, factors)
            for r in range(rows):
                for i in range(BLOCK):
                    weight = exp(logits[r, i] - normalizer[i])
                    d_logits[r, i] = weight * (d_logits[r, i] - mean[i])
                for i in range(_limit(top + r - first + 1)):
                    d_logits[r, i] = 0
            if drops and on_logits:
                _multiply(d_logits, factors)
            _add_weighted(k, n, head, top, d_logits, gradient)
        _turn_back(gradient, count, scale, d_queries[n, first:, head])


@compiled
def _key_value_gradient_loop(q, k, v, dy, scale, dropout, log_normalizer, inner, d_keys, d_values):
    """A task: the gradients of a block of keys and values, and all queries after the first of them.

                             keys first, first + 1, ... as columns
        queries first + 1    x . . . . . . .     a tile on the diagonal: of row r only columns
        ...                  x x . . . . . .     before top - first + r count
                             x x x . . . . .
                             ---------------
                             x x x x x x x x     a tile farther on: every pair counts

    Two tiles are made side by side, the weights P and dS = P * (dO V^T - inner); the numbers of a
    query, its normalizer and inner, belong to a row. Of all tiles the task adds up Q^T dS, its
    keys' gradient, and dO^T P, its values' gradient, both turned, and writes them at the end.
    """
    images, length, heads, _ = d_values.shape
    drops, on_logits = dropout[0] > 0, dropout[3]
    for task in prange(images * heads * _blocks(length)):
        item, n, head, first, count = _share(task, heads, length)
        keys = _turned(k, n, head, first, count, scale)
        values = _turned(v, n, head, first, count, np.float32(1))
        key_gradient = np.zeros(keys.shape, np.float32)
        value_gradient = np.zeros(values.shape, np.float32)
        tiles = np.empty((3, TILE, BLOCK), np.float32)
        for top in range(first + 1, length, TILE):
            rows = min(TILE, length - top)
            weights, d_logits, factors = tiles[0, :rows], tiles[1, :rows], tiles[2, :rows]
            _pair(q, n, head, top, keys, weights)
            _pair(dy, n, head, top, values, d_logits)
            if drops:
                _draw(dropout, (item * length + top) * length + first, length, 1, factors)
                _multiply(weights if on_logits else d_logits, factors)
            for r in range(rows):
                normalizer, mean = log_normalizer[n, head, top + r], inner[n, head, top + r]
                for i in range(BLOCK):
                    weights[r, i] = exp(weights[r, i] - normalizer)
                    d_logits[r, i] = weights[r, i] * (d_logits[r, i] - mean)
                for i in range(_limit(top + r - first), BLOCK):
                    weights[r, i] = 0
                    d_logits[r, i] = 0
            if drops:
                _multiply(d_logits if on_logits else weights, factors)
            _add_weighted(q, n, head, top, d_logits, key_gradient)
            _add_weighted(dy, n, head, top, weights, value_gradient)
        _turn_back(key_gradient, count, scale, d_keys[n, first:, head])
        _turn_back(value_gradient, count, np.float32(1), d_values[n, first:, head])
