"""Convolutions with fewer multiplications: Winograd's algorithm for tiles of 2x2 outputs.

A tile of 2x2 outputs of a 3x3 convolution sees 4x4 inputs. A plain sum multiplies 36 times for each
pair of channels; this takes 16 products and a few sums before and after (Lavin and Gray, "Fast
algorithms for convolutional neural networks", 2016, there F(2x2, 3x3)):

    Y = A^T [(G w G^T) * (B^T x B)] A        (* elementwise)

          1  0 -1  0           1    0    0
    B^T = 0  1  1  0      G = 1/2  1/2  1/2     A^T = 1  1  1  0
          0 -1  1  0          1/2 -1/2  1/2           0  1 -1 -1
          0  1  0 -1           0    0    1

For 2x2 convolutions, F(2x2, 2x2), it is 9 instead of 16:

          1 -1  0             1  0
    B^T = 0  1  0         G = 1  1     A^T = 1  1  0
          0 -1  1             0  1           0  1  1

A 4x4 convolution of stride 2 is such a 2x2 convolution when 2x2 neighbouring pixels count as one
with four times the channels, and its transpose is one that makes such pixels. So there are one
convolution and one weight gradient here, between pixels that are `side` x `side` pixels of the map.
Summed over the channels in, each product is a matrix product, of tiles x channels in with channels
in x channels out. The gradient with respect to w is the same sum the other way round,
dw = G^T [sum over tiles of (B^T x B) * (A dY A^T)] G.

A number that is not finite reaches every output of the tiles that see it, so it may come a pixel
farther than in a plain sum. Float32 only; the references are those of `conv`.
"""

import math
from typing import NamedTuple

import numpy as np

from backends.numba.engine.compiled import compiled, copy, ordered_part, part, prange
from backends.numba.engine.direct_conv import lines_of_task
from backends.numba.engine.tile import BLOCK, TILE_ROWS, add_rows
from backends.process.threads import cores

LEAST_CHANNELS = 32  # on both sides: with fewer, the sums before and after take the time saved,
LEAST_POSITIONS = 256  # and on smaller maps the sums of the weights
GROUP_TILES = 32  # tiles that a task of a convolution takes at a time: its maps stay in the cache
GRADIENT_TILES = 64  # the same of a weight gradient
CHAIN = 32  # products that are summed up one after the other: more would round more
PANEL = 11 * TILE_ROWS  # channels in, side by side, of a weight gradient


class Algorithm(NamedTuple):
    """The three matrices of an algorithm."""

    inputs: np.ndarray  # B^T, by rows (p, q, sign): x[p] + sign * x[q]
    weights: np.ndarray  # G along rows and columns: (16 or 9, taps), its Kronecker product
    outputs: np.ndarray  # A
    count: int  # rows of B^T


def _algorithm(inputs, weights, outputs):
    g = np.array(weights, np.float32)
    return Algorithm(np.array(inputs), np.kron(g, g), np.array(outputs, np.float32), len(inputs))


ALGORITHMS = {
    3: _algorithm(
        [[0, 2, -1], [1, 2, 1], [2, 1, -1], [1, 3, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 0], [1, 1], [1, -1], [0, -1]],
    ),
    2: _algorithm(
        [[0, 1, -1], [1, 1, 0], [2, 1, -1]],
        [[1, 0], [1, 1], [0, 1]],
        [[1, 0], [1, 1], [0, 1]],
    ),
}


def pays(kernel_size, stride, channels, channels_out, map_size):
    """Whether there is an algorithm for such a convolution, and work enough to gain by it.

    `map_size` = (H', W') is that of the convolution's output. The number of maps does not matter,
    so that what an image comes to does not depend on the batch that it is in.
    """
    known = kernel_size % stride == 0 and kernel_size // stride in ALGORITHMS
    enough = min(channels, channels_out) >= LEAST_CHANNELS
    return known and enough and math.prod(map_size) >= LEAST_POSITIONS


def convolve(x, w, stride, padding):
    """`conv.conv2d`: (N, H, W, C), (kernel, kernel, C, D) -> (N, H', W', D)."""
    rows, columns = ((size + 2 * padding - len(w)) // stride + 1 for size in x.shape[1:3])
    y = np.empty((len(x), rows, columns, w.shape[3]), np.float32)
    _convolve(x, (stride, padding), w, False, (rows, columns), (1, 0), y)
    return y


def convolve_transposed(dy, w, stride, padding, height, width):
    """`conv.conv2d_input_gradient`: (N, H', W', D) -> (N, height, width, C)."""
    dx = np.empty((len(dy), height, width, w.shape[2]), np.float32)
    skipped, cropped = divmod(padding, stride)  # whole pixels before the first, and of the first
    margin = len(w) // stride - 1 - skipped
    grid = tuple(math.ceil((cropped + size) / stride) for size in (height, width))
    _convolve(dy, (1, margin), w, True, grid, (stride, cropped), dx)
    return dx


def weight_gradient(x, dy, kernel_size, stride, padding):
    """`conv.conv2d_weight_gradient`: (N, H, W, C), (N, H', W', D) -> (kernel, kernel, C, D)."""
    channels, channels_out = x.shape[3], dy.shape[3]
    algorithm = ALGORITHMS[kernel_size // stride]
    count = algorithm.count
    du = np.empty((count, count, stride, stride * channels, channels_out), np.float32)
    source = (channels, stride, padding)
    shares = min(math.ceil(stride * channels / PANEL), math.ceil(cores() / (count * stride)))
    lines = _lines_of_task(*dy.shape[1:3], GRADIENT_TILES)
    dy = np.ascontiguousarray(dy)
    _weight_gradient_loop(
        _as_lines(x), source, dy, algorithm.inputs, algorithm.outputs, lines, max(1, shares), du
    )
    dw = np.empty((kernel_size, kernel_size, channels, channels_out), np.float32)
    _transform_gradient_loop(du.reshape(-1, *du.shape[2:]), algorithm.weights, stride, dw)
    return dw


def _convolve(x, pixels, w, transposed, grid, pixels_out, y):
    """Fill y. `pixels` = (side, padding), `pixels_out` = (side, cropped), `grid` of the latter."""
    (side, padding), (side_out, cropped) = pixels, pixels_out
    channels, channels_out = x.shape[3], y.shape[3]
    algorithm = ALGORITHMS[len(w) // max(side, side_out)]
    count, blocks = algorithm.count, math.ceil(side_out * channels_out / BLOCK)
    u = np.empty((count, count, side_out, blocks, side, side * channels, BLOCK), np.float32)
    every = u.reshape(-1, *u.shape[2:])
    _transform_weights_loop(np.ascontiguousarray(w), transposed, algorithm.weights, every)
    source, target = (channels, side, padding), (channels_out, side_out, cropped)
    lines = _lines_of_task(*grid, GROUP_TILES)
    _convolve_loop(_as_lines(x), source, algorithm.inputs, u, grid, lines, target, _as_lines(y))


def _as_lines(x):
    """(N, H, W, C) as lines of numbers (N, H, W * C)."""
    n, height, width, channels = x.shape
    return np.ascontiguousarray(x).reshape(n, height, width * channels)


def _lines_of_task(rows, columns, tiles):
    """Lines of tiles of 2x2 outputs that a task takes, of a map of so many rows and columns."""
    return lines_of_task(math.ceil(rows / 2), math.ceil(columns / 2), tiles)


@part
def _add(a, b, factor, total):
    """total = a + factor * b. With many more arrays in a loop it would not be vectorised."""
    for c in range(len(total)):
        total[c] = a[c] + factor * b[c]


@ordered_part
def _add_three(a, b, c, factor, total):
    """total = a + factor * (b + c)."""
    for d in range(len(total)):
        total[d] = a[d] + factor * (b[d] + c[d])


@compiled
def _transform_weights_loop(w, transposed, both_ways, u):
    """u = G w G^T for each pair of channels; the last block of columns is filled up with zeros.

    u (16 or 9, lines out, blocks, lines in, channels of a line in, BLOCK). Transposed, the taps
    run backwards, and from the last axis of w to the one before.
    """
    _, lines_out, blocks, lines_in, length, _ = u.shape
    side = max(lines_in, lines_out)
    taps = len(w) // side
    fewer, more = w.shape[2:]
    for task in prange(lines_out * blocks * lines_in * length):
        c, p = task % length, task // length % lines_in
        block, p_out = task // length // lines_in % blocks, task // length // lines_in // blocks
        pixel = np.zeros((taps * taps, BLOCK), np.float32)
        first = block * BLOCK
        for tap in range(taps * taps):
            a, b = tap // taps, tap % taps
            if transposed:
                row, column = side * (taps - 1 - a) + p_out, side * (taps - 1 - b) + first // fewer
                d = first % fewer
                for k in range(min(BLOCK, side * fewer - first)):
                    pixel[tap, k] = w[row, column, d, c]
                    d += 1
                    if d == fewer:
                        column, d = column + 1, 0
            else:
                numbers = w[side * a + p, side * b + c // fewer, c % fewer, first : first + BLOCK]
                copy(numbers, pixel[tap, : len(numbers)])
        for i in range(len(both_ways)):
            target = u[i, p_out, block, p, c]
            target[:] = 0
            for tap in range(taps * taps):
                if both_ways[i, tap] != 0:
                    _add(target, pixel[tap], both_ways[i, tap], target)


@compiled
def _transform_gradient_loop(du, both_ways, side, dw):
    """dw = G^T du G for each pair of channels."""
    kernel_size, _, channels, _ = dw.shape
    taps = kernel_size // side
    for task in prange(kernel_size * kernel_size * channels):
        tap, c = task // channels, task % channels
        row, column = tap // kernel_size, tap % kernel_size
        tap = row // side * taps + column // side
        target = dw[row, column, c]
        target[:] = 0
        for i in range(len(both_ways)):
            if both_ways[i, tap] != 0:
                line = du[i, row % side, column % side * channels + c]
                _add(target, line, both_ways[i, tap], target)


@part
def _from_inputs(x, source, line, inputs, i, p, first, mixed, v, at):
    """Line `i` of B^T x B for a line of tiles, whose pixels begin in line `line` of all pixels.

    x (H, W * C), one map, is seen as pixels of side x side: each has `side` lines, of which this
    takes line `p`, and of that the `count` numbers from `first` on. Outside the map are zeros.
    mixed (2, M + 1, count), for even and odd columns; v (4 or 3, tiles, count), of which the M
    tiles from `at` on are filled.
    """
    (channels, side, padding), (height, length) = source, x.shape
    count, tiles = mixed.shape[2], mixed.shape[1] - 1
    upper = side * (line + inputs[i, 0]) + p - padding
    lower = side * (line + inputs[i, 1]) + p - padding
    upper_inside, lower_inside = 0 <= upper < height, 0 <= lower < height
    for column in range(2 * tiles + len(inputs) - 2):
        start = (side * column - padding) * channels + first
        low, high = min(count, max(0, -start)), max(0, min(count, length - start))
        target = mixed[column % 2, column // 2]
        if low > 0 or high < count or not (upper_inside and lower_inside):
            target[:] = 0
        target, place = target[low:high], slice(start + low, start + high)
        if upper_inside and lower_inside:
            _add(x[upper, place], x[lower, place], np.float32(inputs[i, 2]), target)
        elif upper_inside:
            copy(x[upper, place], target)
        elif lower_inside:
            _add(target, x[lower, place], np.float32(inputs[i, 2]), target)
    for j in range(len(inputs)):
        a, b, sign = inputs[j]
        plus, minus = mixed[a % 2, a // 2 :].reshape(-1), mixed[b % 2, b // 2 :].reshape(-1)
        target = v[j, at : at + tiles].reshape(-1)
        _add(plus, minus, np.float32(sign), target)


@part
def _to_outputs(m, upper, lower):
    """A^T m: m (4 or 3, M) -> upper (M,), lower (M,)."""
    if len(m) == 4:
        _add_three(m[0], m[1], m[2], np.float32(1), upper)
        _add_three(m[1], m[2], m[3], np.float32(-1), lower)
    else:
        _add(m[0], m[1], np.float32(1), upper)
        _add(m[1], m[2], np.float32(1), lower)


@part
def _put(numbers, width, start, step, line):
    """Copy `width` numbers of each row to start, start + step, ... of a line, where that is."""
    for t in range(len(numbers)):
        low, high = min(width, max(0, -start)), max(0, min(width, len(line) - start))
        row, target = numbers[t], line[max(0, start) :]  # start + d may be negative: not vectorised
        for d in range(low, high):
            target[d - low] = row[d]
        start += step


@compiled
def _convolve_loop(x, source, inputs, u, grid, lines, target, y):
    """A task: `lines` lines of tiles of one image, for all channels out.

    For one row i of B^T after the other:

        lines of x   -- B^T along columns, row i; B along rows -->   v (lines_in, count, tiles, C)
        v[:, j] @ u[i, j]   -- summed over lines_in and C -->        products (count, tiles, BLOCK)
        products     -- A along rows: two outputs side by side -->   sums[..., 0 and 1, i]

    `products` are those of one piece of the output: a block of channels of one line of a pixel.
    When all rows i are there, A^T along columns makes two lines of outputs of sums[..., :], and
    `_put` copies what lies inside the map to y. Only `u` is shared, and it is only read.
    """
    count, _, lines_out, blocks, lines_in, length, _ = u.shape
    (channels, side, cropped), (rows, columns) = target, grid
    down, across = (rows + 1) // 2, (columns + 1) // 2
    groups, flat_u = (down + lines - 1) // lines, u.reshape(-1)
    for task in prange(len(x) * groups):
        image, top = task // groups, task % groups * lines
        bottom = min(top + lines, down)
        tiles = (bottom - top) * across
        mixed = np.empty((2, across + 1, length), np.float32)
        v = np.empty((lines_in, count, tiles, length), np.float32)
        flat_v = v.reshape(-1)
        products = np.empty((count, tiles, BLOCK), np.float32)
        sums = np.empty((lines_out, blocks, 2, count, tiles * BLOCK), np.float32)
        for i in range(count):
            for line in range(top, bottom):
                for p in range(lines_in):
                    at = (line - top) * across
                    _from_inputs(x[image], source, 2 * line, inputs, i, p, 0, mixed, v[p], at)
            for piece in range(lines_out * blocks):
                p, block = piece // blocks, piece % blocks
                products[:] = 0
                for j in range(count):
                    for p_in in range(lines_in):
                        first = (p_in * count + j) * tiles * length
                        place = (i * count + j) * lines_out * blocks + piece
                        w_first = (place * lines_in + p_in) * length * BLOCK
                        for k in range(0, length, CHAIN):
                            add_rows(
                                *(flat_v, first + k, length, 1, min(CHAIN, length - k)),
                                *(flat_u, w_first + k * BLOCK, BLOCK, products[j], 0, tiles),
                            )
                flat = products.reshape(count, tiles * BLOCK)
                _to_outputs(flat, sums[p, block, 0, i], sums[p, block, 1, i])
        outputs = np.empty((2, tiles * BLOCK), np.float32)
        for piece in range(2 * lines_out * blocks):
            p, block, q = piece // 2 // blocks, piece // 2 % blocks, piece % 2
            _to_outputs(sums[p, block, q], outputs[0], outputs[1])
            width = min(BLOCK, side * channels - block * BLOCK)
            start = (side * q - cropped) * channels + block * BLOCK
            for number in range(2 * (bottom - top)):
                row, k = 2 * top + number, number % 2
                line = side * row + p - cropped
                if row < rows and 0 <= line < y.shape[1]:
                    numbers = outputs[k].reshape(tiles, BLOCK)[number // 2 * across :][:across]
                    _put(numbers, width, start, 2 * side * channels, y[image, line])


@part
def _from_outputs(dy, row, outputs, i, block, mixed, dm, at):
    """Line `i` of A dY A^T for a line of tiles, from row `row` of dy on, and a block of channels.

    dy (H', W', D); mixed (2, M, BLOCK), zero in the columns that dy has not; dm (4 or 3, tiles,
    BLOCK), of which the M tiles from `at` on are filled. Outside dy are zeros.
    """
    rows, columns, channels = dy.shape
    left, right = block * BLOCK, min(block * BLOCK + BLOCK, channels)
    upper, lower = outputs[i]
    for column in range(2 * mixed.shape[1]):
        target = mixed[column % 2, column // 2, : right - left]
        has_upper = column < columns and upper != 0
        has_lower = column < columns and row + 1 < rows and lower != 0
        if has_upper and has_lower:
            _add(dy[row, column, left:right], dy[row + 1, column, left:right], lower, target)
        elif has_upper:
            copy(dy[row, column, left:right], target)
        else:
            target[:] = 0
            if has_lower:
                _add(target, dy[row + 1, column, left:right], lower, target)
    even, odd = mixed[0].reshape(-1), mixed[1].reshape(-1)
    for j in range(len(outputs)):
        target = dm[j, at : at + mixed.shape[1]].reshape(-1)
        if outputs[j, 0] == 0:
            for d in range(len(target)):
                target[d] = outputs[j, 1] * odd[d]
        else:
            _add(even, odd, outputs[j, 1], target)


@compiled
def _weight_gradient_loop(x, source, dy, inputs, outputs, lines, shares, du):
    count, _, lines_in, length, channels_out = du.shape
    n, rows, columns, _ = dy.shape
    down, across = (rows + 1) // 2, (columns + 1) // 2
    groups = (down + lines - 1) // lines
    blocks, panels = (channels_out + BLOCK - 1) // BLOCK, (length + PANEL - 1) // PANEL
    for task in prange(count * lines_in * shares):
        i, p, share = task // shares // lines_in, task // shares % lines_in, task % shares
        begin, end = share * panels // shares, (share + 1) * panels // shares
        sums = np.zeros((end - begin, blocks, count, PANEL, BLOCK), np.float32)
        mixed = np.empty((2, across + 1, PANEL), np.float32)
        mixed_outputs = np.zeros((2, across, BLOCK), np.float32)
        v = np.empty((count, lines * across, PANEL), np.float32)
        dm = np.empty((blocks, count, lines * across, BLOCK), np.float32)
        flat_v, flat_dm = v.reshape(-1), dm.reshape(-1)
        for group in range(n * groups):
            image, top = group // groups, group % groups * lines
            bottom = min(top + lines, down)
            for block in range(blocks):
                for line in range(top, bottom):
                    row, at = 2 * line, (line - top) * across
                    _from_outputs(dy[image], row, outputs, i, block, mixed_outputs, dm[block], at)
            for panel in range(begin, end):
                first = panel * PANEL
                for line in range(top, bottom):
                    row, at = 2 * line, (line - top) * across
                    _from_inputs(x[image], source, row, inputs, i, p, first, mixed, v, at)
                for product in range(blocks * count):
                    block, j = product // count, product % count
                    step = lines * across
                    add_rows(
                        *(flat_v, j * step * PANEL, 1, PANEL, (bottom - top) * across),
                        *(flat_dm, product * step * BLOCK, BLOCK, sums[panel - begin, block, j]),
                        *(0, min(PANEL, length - first)),
                    )
        for panel in range(begin, end):
            for product in range(blocks * count):
                block, j = product // count, product % count
                left, right = block * BLOCK, min(block * BLOCK + BLOCK, channels_out)
                for c in range(min(PANEL, length - panel * PANEL)):
                    numbers = sums[panel - begin, block, j, c]
                    copy(numbers, du[i, j, p, panel * PANEL + c, left:right])
