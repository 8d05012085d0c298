"""Causal 5x5 convolutions with fewer multiplications: Winograd's algorithm along the rows above.

Four neighbouring outputs see eight neighbouring positions of a row above. A plain sum multiplies 20
times for each pair of channels; F(4, 3) for the first three taps and F(4, 2) for the other two
(Winograd; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016) take 6 + 5
products, with a few sums before and after:

    y = A^T [(G w) * (B^T x)]        (* elementwise; summed over channels in and rows above)

G w and A^T m are values of polynomials at six and at five points, and B^T comes from interpolation
between them. (All five taps at once, at eight points, would be 8 products, and three times the
rounding errors.) Of the 13 taps, 10 lie in rows above. The three of the row itself are multiplied
as they are: there a tile would hold later positions, whose rounding errors would reach earlier
ones. So this is causal to the last bit, and takes 34 products instead of 52. A sampler needs the
rows above alone, of one row at a time (`above`).

The gradient with respect to w is the same sum the other way round, dw = G^T [sum over tiles of
(B^T x) * (A dy)]; there the row itself can be like those above. A number that is not finite reaches
all outputs of the tiles that see it, so some of its neighbours in later rows, too. Float32 only;
the references are those of `causal_conv`.
"""

import numpy as np

from backends.numba.engine import direct_conv
from backends.numba.engine.channelwise import channelwise
from backends.numba.engine.compiled import compiled, copy, prange
from backends.numba.engine.products import panel_rows
from backends.numba.engine.tile import BLOCK, TILE_ROWS, add_rows

TAPS, HALF = 5, 2
OUTPUTS = 4  # of a tile
PIECES = ((3, (0, 1, -1, 2, -0.5)), (2, (0, 1, -1, 0.5)))  # taps of each, and points but infinity
POINTS = sum(len(points) + 1 for _, points in PIECES)
LEAST_CHANNELS = 32  # on both sides: with fewer, the sums before and after take the time saved
LEAST_POSITIONS = 2048  # in all maps: with fewer, making G w does
GROUP_TILES = 64  # tiles that a task takes at a time, where a line does not have more
LEAST_WIDTH = 16  # of a row whose rows above are multiplied alone
GRADIENT_TILES = 64  # the same of a weight gradient
CHAIN = 32  # products that are summed up one after the other: more would round more
GROUP_CHANNELS = 128  # whose B^T x lies in the cache at a time
PANEL_CHANNELS = 11 * TILE_ROWS  # channels in that a task of a weight gradient takes


def _powers(points, count):
    """Values of 1, t, ..., t^(count - 1) at the points, and the last factor alone at infinity."""
    values = np.zeros((len(points) + 1, count))
    values[:-1] = np.array(points)[:, None] ** np.arange(count)
    values[-1, -1] = 1
    return values


def _algorithm(taps, points):
    """(B^T, G, A) of F(OUTPUTS, taps), scaled so that the numbers of B^T are short."""
    interpolation = np.linalg.inv(_powers(points, OUTPUTS + taps - 1)).T
    sizes = np.abs(interpolation)
    least = np.where(sizes > 1e-9, sizes, np.inf).min(axis=1, keepdims=True)
    inputs = np.round(interpolation / least, 9)
    return inputs, least * _powers(points, taps), _powers(points, OUTPUTS)


def _matrices():
    """(B^T, G, A) of the pieces together, one below the other."""
    inputs = np.zeros((POINTS, OUTPUTS + TAPS - 1))
    weights, outputs = np.zeros((POINTS, TAPS)), np.zeros((POINTS, OUTPUTS))
    point = tap = 0
    for taps, points in PIECES:
        rows = slice(point, point + len(points) + 1)
        ours = _algorithm(taps, points)
        inputs[rows, tap : tap + OUTPUTS + taps - 1] = ours[0]
        weights[rows, tap : tap + taps], outputs[rows] = ours[1:]
        point, tap = rows.stop, tap + taps
    return inputs, weights, outputs


INPUTS_MATRIX, WEIGHTS_MATRIX, OUTPUTS_MATRIX = _matrices()
from_inputs = channelwise(INPUTS_MATRIX)
from_weights = channelwise(WEIGHTS_MATRIX)
to_weights = channelwise(WEIGHTS_MATRIX.T)
from_outputs = channelwise(OUTPUTS_MATRIX)
# What the points say about an output, and what else is added to it.
to_outputs = channelwise(np.concatenate([OUTPUTS_MATRIX.T, np.eye(OUTPUTS)], axis=1))


def pays(shape, channels_out, kernel_size):
    """Whether this is for maps of `shape` (N, H, W, C), and gains something."""
    n, height, width, channels = shape
    enough = min(channels, channels_out) >= LEAST_CHANNELS
    return kernel_size == TAPS and enough and n * height * width >= LEAST_POSITIONS


def convolve(x, w):
    """`causal_conv.causal_conv2d`: (N, H, W, C), (taps, C, D) -> (N, H, W, D)."""
    return _convolved(x, w, False, w.shape[2])


def input_gradient(dy, w):
    """`causal_conv.causal_conv2d_input_gradient`: (N, H, W, D), (taps, C, D) -> (N, H, W, C).

    What comes later in raster order comes earlier in a map turned by 180 degrees.
    """
    return _convolved(dy, w, True, w.shape[1])


def _convolved(x, w, turned, channels_out):
    n, height, width, channels = x.shape
    across = -(-width // OUTPUTS)
    surrounded = direct_conv.padded(x, HALF, 0, HALF, OUTPUTS * across - width + HALF, turned)
    blocks = -(-channels_out // BLOCK)
    above = np.empty((POINTS, blocks, HALF, channels, BLOCK), np.float32)
    beside = np.empty((blocks, len(w) - HALF * TAPS, channels, BLOCK), np.float32)
    _transform_weights_loop(np.ascontiguousarray(w), turned, above, beside)
    y = np.empty((n, height, width, channels_out), np.float32)
    lines = direct_conv.lines_of_task(height, across, GROUP_TILES)
    _convolve_loop(surrounded, above, beside, lines, turned, y)
    return y


def pays_above(width, w):
    """Whether `above` is for rows of `width` positions and these taps (10, C, D), and gains."""
    enough = min(w.shape[1:]) >= LEAST_CHANNELS and width >= LEAST_WIDTH
    return len(w) == HALF * TAPS and w.dtype == np.float32 and enough


def prepare_above(w):
    """G w of the taps above (10, C, D): (POINTS, D / BLOCK, HALF, C, BLOCK)."""
    _, channels, channels_out = w.shape
    blocks = -(-channels_out // BLOCK)
    above = np.empty((POINTS, blocks, HALF, channels, BLOCK), np.float32)
    beside = np.empty((blocks, 0, channels, BLOCK), np.float32)
    _transform_weights_loop(np.ascontiguousarray(w), False, above, beside)
    return above


def above(rows, w, offset):
    """What the rows above say about every position of a row, and `offset`: (N, W, D).

    rows (N, 2, 2 + W + 2, C) with zeros on both sides, w as `prepare_above` returns it, (N, W, D).
    An image's numbers do not depend on how many others there are.
    """
    n, width, channels_out = offset.shape
    across = -(-width // OUTPUTS)
    rows = direct_conv.padded(rows, 0, 0, 0, OUTPUTS * across - width)
    v = np.empty((POINTS, HALF, n * across, rows.shape[-1]), np.float32)
    _inputs_loop(rows, v)
    y = np.empty(offset.shape, np.float32)
    panel = panel_rows(n * across, w.shape[1])
    _above_loop(v, w, np.ascontiguousarray(offset), panel, y)
    return y


def weight_gradient(x, dy, taps):
    """`causal_conv.causal_conv2d_weight_gradient`: -> (taps, C, D)."""
    height, width, channels = x.shape[1:]
    channels_out = dy.shape[-1]
    across = -(-width // OUTPUTS)
    surrounded = direct_conv.padded(x, HALF, 0, HALF, OUTPUTS * across - width + HALF)
    du = np.empty((POINTS, HALF + 1, channels, channels_out), np.float32)
    lines = direct_conv.lines_of_task(height, across, GRADIENT_TILES)
    _weight_gradient_loop(surrounded, np.ascontiguousarray(dy), lines, du)
    dw = np.empty((taps, channels, channels_out), np.float32)
    _transform_gradient_loop(du, dw)
    return dw


@compiled
def _transform_weights_loop(w, transposed, above, beside):
    """G w for the rows above, and the taps beside as they are; blocks are filled up with zeros.

    w is (taps, channels in, channels out), `transposed` the other way round.
    """
    columns = w.shape[1] if transposed else w.shape[2]
    blocks, own, channels, _ = beside.shape
    stretch = 16  # channels in of a task: numbers that lie side by side in a transposed w
    parts = (channels + stretch - 1) // stretch
    above_step = above.size // POINTS
    for task in prange(parts * blocks):
        first, block = task // blocks * stretch, task % blocks
        left, count = block * BLOCK, min(stretch, channels - first)
        width = min(BLOCK, columns - left)
        taps = np.zeros((len(w), stretch, BLOCK), np.float32)
        for tap in range(len(w)):
            if transposed:
                for d in range(width):
                    for c in range(count):
                        taps[tap, c, d] = w[tap, left + d, first + c]
            else:
                for c in range(count):
                    copy(w[tap, first + c, left : left + width], taps[tap, c, :width])
        size = count * BLOCK
        for a in range(HALF):
            start, at = a * TAPS * stretch * BLOCK, ((block * HALF + a) * channels + first) * BLOCK
            from_weights(taps, start, stretch * BLOCK, size, above, at, above_step)
        for tap in range(own):
            for c in range(count):
                copy(taps[HALF * TAPS + tap, c], beside[block, tap, first + c])


@compiled
def _convolve_loop(x, above, beside, lines, turned, y):
    """A task: `lines` lines of tiles (four outputs side by side) of one image, all channels out.

        lines top - 2 ... bottom - 2 of x   -- B^T -->   v (POINTS, their tiles, channels in)

        m[block, 0 ... POINTS - 1]    sums of v @ above: for a tile both lines above it, of which
                                      the second is `across` tiles later in v
        m[block, POINTS ... ]         sums of x @ beside: the four outputs' own line, without B^T

        four outputs of a tile  =  A^T m[block, :POINTS] + m[block, POINTS:]      (to_outputs)

    Channels in come in parts, so that v stays in the cache; m holds the sums of all of them. x is
    padded: two lines above, two columns on the left, on the right up to whole tiles.
    """
    n, rows, columns, channels_out = y.shape
    _, height, width, channels = x.shape
    blocks, own = beside.shape[:2]
    across = (columns + OUTPUTS - 1) // OUTPUTS
    groups = (rows + lines - 1) // lines
    flat_x, flat_above, flat_beside = x.reshape(-1), above.reshape(-1), beside.reshape(-1)
    parts = (channels + GROUP_CHANNELS - 1) // GROUP_CHANNELS
    for task in prange(n * groups):
        image, top = task // groups, task % groups * lines
        bottom = min(top + lines, rows)
        tiles = (bottom - top) * across
        v = np.empty((POINTS, tiles + across, min(channels, GROUP_CHANNELS)), np.float32)
        flat_v = v.reshape(-1)
        m = np.zeros((blocks, POINTS + OUTPUTS, tiles, BLOCK), np.float32)
        final = np.empty((OUTPUTS, BLOCK), np.float32)
        for part in range(parts):
            first = part * GROUP_CHANNELS
            count = min(GROUP_CHANNELS, channels - first)
            size = (tiles + across) * count
            for tile in range(tiles + across):
                line, column = top + tile // across, tile % across * OUTPUTS
                start = ((image * height + line) * width + column) * channels + first
                from_inputs(flat_x, start, channels, count, v, tile * count, size)
            for block in range(blocks):
                for p in range(POINTS):
                    for a in range(HALF):
                        start = p * size + a * across * count
                        w_start = ((p * blocks + block) * HALF + a) * channels + first
                        for k in range(0, count, CHAIN):
                            add_rows(
                                *(flat_v, start + k, count, 1, min(CHAIN, count - k)),
                                *(flat_above, (w_start + k) * BLOCK, BLOCK),
                                *(m[block, p], 0, tiles),
                            )
        for block in range(blocks):
            for j in range(OUTPUTS):
                sums = m[block, POINTS + j]
                for i in range(top, bottom):
                    start = ((image * height + i + HALF) * width + j) * channels
                    w_start = block * own * channels * BLOCK
                    for k in range(0, own * channels, CHAIN):
                        add_rows(
                            *(flat_x, start + k, OUTPUTS * channels, 1),
                            *(min(CHAIN, own * channels - k), flat_beside, w_start + k * BLOCK),
                            *(BLOCK, sums, (i - top) * across, across),
                        )
            left = block * BLOCK
            count = min(BLOCK, channels_out - left)
            m_start, step = block * (POINTS + OUTPUTS) * tiles * BLOCK, tiles * BLOCK
            for tile in range(tiles):
                to_outputs(m, m_start + tile * BLOCK, step, count, final, 0, BLOCK)
                i, column = top + tile // across, tile % across * OUTPUTS
                for j in range(min(OUTPUTS, columns - column)):
                    if turned:
                        line = y[image, rows - 1 - i, columns - 1 - column - j]
                    else:
                        line = y[image, i, column + j]
                    copy(final[j], line[left : left + count])


@compiled
def _inputs_loop(rows, v):
    n, lines, width, channels = rows.shape
    tiles = v.shape[2]
    across = (width - TAPS + 1) // OUTPUTS
    flat = rows.reshape(-1)
    for task in prange(tiles * lines):
        a, tile = task // tiles, task % tiles
        image, column = tile // across, tile % across * OUTPUTS
        start = ((image * lines + a) * width + column) * channels
        from_inputs(flat, start, channels, channels, v, task * channels, v.size // POINTS)


@compiled
def _above_loop(v, w, offset, panel, y):
    images, columns, channels_out = y.shape
    _, blocks, lines, channels, _ = w.shape
    tiles = v.shape[2]
    across = (columns + OUTPUTS - 1) // OUTPUTS
    flat_v, flat_w = v.reshape(-1), w.reshape(-1)
    for task in prange((tiles + panel - 1) // panel * blocks):
        top, block = task // blocks * panel, task % blocks
        count, left = min(panel, tiles - top), block * BLOCK
        width = min(BLOCK, channels_out - left)
        m = np.zeros((POINTS + OUTPUTS, count, BLOCK), np.float32)
        final = np.empty((OUTPUTS, BLOCK), np.float32)
        for p in range(POINTS):
            for a in range(lines):
                start = ((p * lines + a) * tiles + top) * channels
                w_start = ((p * blocks + block) * lines + a) * channels
                for k in range(0, channels, CHAIN):
                    add_rows(
                        *(flat_v, start + k, channels, 1, min(CHAIN, channels - k)),
                        *(flat_w, (w_start + k) * BLOCK, BLOCK, m[p], 0, count),
                    )
        for tile in range(count):
            image, column = (top + tile) // across, (top + tile) % across * OUTPUTS
            for j in range(min(OUTPUTS, columns - column)):
                added = offset[image, column + j]
                copy(added[left : left + width], m[POINTS + j, tile, :width])
            to_outputs(m, tile * BLOCK, count * BLOCK, width, final, 0, BLOCK)
            for j in range(min(OUTPUTS, columns - column)):
                copy(final[j], y[image, column + j, left : left + width])


@compiled
def _weight_gradient_loop(x, dy, lines, du):
    n, rows, columns, channels_out = dy.shape
    _, height, width, channels = x.shape
    across = (columns + OUTPUTS - 1) // OUTPUTS
    blocks = (channels_out + BLOCK - 1) // BLOCK
    panels = (channels + PANEL_CHANNELS - 1) // PANEL_CHANNELS
    groups = (rows + lines - 1) // lines
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    most = lines * across
    for task in prange(panels * blocks):
        first, left = task // blocks * PANEL_CHANNELS, task % blocks * BLOCK
        count, size = min(PANEL_CHANNELS, channels - first), min(BLOCK, channels_out - left)
        v = np.empty((POINTS, most + HALF * across, count), np.float32)
        dm = np.zeros((POINTS, most, BLOCK), np.float32)
        sums = np.zeros((POINTS, HALF + 1, count, BLOCK), np.float32)
        last = np.zeros((OUTPUTS, BLOCK), np.float32)
        flat_v, flat_dm, flat_last = v.reshape(-1), dm.reshape(-1), last.reshape(-1)
        v_step, dm_step = (most + HALF * across) * count, most * BLOCK
        for group in range(n * groups):
            image, top = group // groups, group % groups * lines
            tiles = (min(top + lines, rows) - top) * across
            for tile in range(tiles + HALF * across):
                line, column = top + tile // across, tile % across * OUTPUTS
                start = ((image * height + line) * width + column) * channels + first
                from_inputs(flat_x, start, channels, count, v, tile * count, v_step)
            for tile in range(tiles):
                line, column = top + tile // across, tile % across * OUTPUTS
                start = ((image * rows + line) * columns + column) * channels_out + left
                if column + OUTPUTS <= columns:
                    from_outputs(flat_dy, start, channels_out, size, dm, tile * BLOCK, dm_step)
                else:
                    for j in range(columns - column):
                        numbers = dy[image, line, column + j]
                        copy(numbers[left : left + size], last[j, :size])
                    from_outputs(flat_last, 0, BLOCK, size, dm, tile * BLOCK, dm_step)
            for p in range(POINTS):
                for a in range(HALF + 1):
                    start = p * v_step + a * across * count
                    add_rows(
                        *(flat_v, start, 1, count, tiles, flat_dm, p * dm_step, BLOCK),
                        *(sums[p, a], 0, count),
                    )
        for p in range(POINTS):
            for a in range(HALF + 1):
                for c in range(count):
                    copy(sums[p, a, c], du[p, a, first + c, left : left + size])


@compiled
def _transform_gradient_loop(du, dw):
    """dw = G^T du; in a position's own row only the first few of five taps."""
    _, rows, channels, columns = du.shape
    size = channels * columns
    for task in prange(rows * channels):
        a, c = task // channels, task % channels
        taps = np.empty((TAPS, columns), np.float32)
        to_weights(du, (a * channels + c) * columns, rows * size, columns, taps, 0, columns)
        for b in range(min(TAPS, len(dw) - a * TAPS)):
            copy(taps[b], dw[a * TAPS + b, c])
