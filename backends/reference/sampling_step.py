"""What sampling does at one position of a map (section F): the layers of a prior, with caches.

All arrays keep their places, and the position is read from memory: `where` (1,), int64, holds its
number p in raster order, in maps of `size` columns. So the same calls serve every position, and a
device records them once, as a CUDA graph. What changes is written into arrays that were there
before; on a device nothing may be allocated.

    x (N, C)                features of the position in N images, which every layer changes
    row (N, P, C)           ELU of a layer's input in the position's own row of the map, with zeros
                            on both sides; or, with P = 1, at the position alone
    w (P' * C, D)           weights of the taps in that row, as by `packing.prepare_weights`
    offset (N or 1, P, D)   what is added: P = 1, or one for each of `size` columns, or for each of
                            L = size * size positions
    following (N, P, >= C)  the `row` of the layer that comes next
    codes (N, L), int64     of the map so far
"""

import math

from backends.arrays import array_module
from backends.reference import sample
from backends.reference.elementwise import elu, gate
from backends.reference.packing import matrix


def affine_at(where, size, row, w, offset, y, following):
    """y = x W + offset (N, D), x being what the taps meet; ELU of it goes to `following`, or None.

    The first, causal convolution and the logits.
    """
    y[...] = _product(where, size, row, w, offset)
    if following is not None:
        _put(where, size, following, elu(y))


def gated_at(where, size, x, row, w, offset, inner, inner_w, inner_offset, following):
    """x += gate(conv(ELU(conv(ELU(x))))), then ELU of it to `following`: a gated residual layer.

    `row` has ELU(x) already. `inner` (N, P, residual units) is the second convolution's row; its
    weights `inner_w` are prepared with halves.
    """
    _put(where, size, inner, elu(_product(where, size, row, w, offset)))
    x += gate(_product(where, size, inner, inner_w, inner_offset, halves=2))
    _put(where, size, following, elu(x))


def attend_at(where, size, x, w, offset, projected, past, joined):
    """ELU of what the position reads from all earlier ones, to the end of `joined`.

    projected (N, 3 * heads * d)     x W + offset: query, and the features' share in key and value
    past      (N, 2, heads, L, d)    keys and values of all earlier positions
    joined    (N, 1, C + heads * d)  ELU(x), and what is written here: `row` of the `gated_at` that
                                     takes it in

    softmax(q . k / sqrt(d)) v in each head; the first position reads exactly zero.
    """
    projected[...] = x @ matrix(w, projected.shape[1]).astype(x.dtype) + _added(where, offset)
    images, _, heads, _, width = past.shape
    query = projected[:, : heads * width].reshape(images, heads, width)
    read = attend(query, past[:, 0], past[:, 1], int(where[0]))
    joined[:, 0, x.shape[1] :] = elu(read.reshape(images, heads * width))


def attend(query, keys, values, count):
    """Attention of one position to the first `count` positions: (N, heads, d) -> the same shape.

    keys, values: (N, heads, L, d).
    """
    xp = array_module(query)
    if count == 0:
        return xp.zeros_like(query)
    keys, values = keys[:, :, :count], values[:, :, :count]
    logits = (keys @ query[..., None])[..., 0] / math.sqrt(query.shape[-1])
    weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return (weights[:, :, None] @ values)[:, :, 0]


def sample_at(where, logits, seeds, codes, temperature, top_k, top_p, kept, weights, dropped):
    """Draw the codes of the position as `sample_codes` does; those given (>= 0) stay.

    logits (N, K); seeds (N,), uint64, of the images' noise. kept, weights (N, K) and dropped (N, K)
    int32 are room to work in; what they hold afterwards means nothing.
    """
    position = int(where[0])
    drawn = sample.sample_codes(logits, seeds, position, temperature, top_k, top_p)
    chosen = codes[:, position]
    codes[:, position] = array_module(codes).where(chosen < 0, drawn, chosen)


def embed_at(where, size, codes, table, row):
    """The vectors, rows of `table` (K, C), of the position's codes, into `row`."""
    _put(where, size, row, table[codes[:, int(where[0])]])


def remember_at(where, codes, table, projected, past):
    """Keys and values of the position, now that its codes are known, into `past`.

    They are what `attend_at` left in `projected`, and what the code adds: table (K, 2 * heads * d).
    """
    images, _, heads, _, width = past.shape
    position, query = int(where[0]), heads * width
    both = projected[:, query:] + table[codes[:, position]]
    past[:, :, :, position] = both.reshape(images, 2, heads, width)


def advance(where):
    """The next position: where += 1."""
    where += 1


def _product(where, size, row, w, offset, halves=1):
    """x W + offset (N, D), x (N, P' * C) being what the taps meet: they lie side by side."""
    images, places, channels = row.shape
    begin = int(where[0]) % size * channels if places > 1 else 0
    x = row.reshape(images, places * channels)[:, begin : begin + w.shape[-2]]
    return x @ matrix(w, offset.shape[2], halves).astype(x.dtype) + _added(where, offset)


def _added(where, offset):
    return offset[:, int(where[0]) % offset.shape[1]]


def _put(where, size, row, values):
    """Values (N, C) to the place of the position in a `row`, as the first of its channels."""
    column = (row.shape[1] - size) // 2 + int(where[0]) % size if row.shape[1] > 1 else 0
    row[:, column, : values.shape[1]] = values
