"""A tile of a matrix product whose sums stay in vector registers while the factors stream past.

Numba cannot be told in Python to keep a block of sums in registers, and without that a product of
few rows runs at a third of the processor's rate. So this one inner loop is written in LLVM's
instructions, for `TILE_ROWS` rows at a time, and for one and two rows:

    sums[row + r] += sum over k < length of  x[x_start + r * row_step + k * step] * w[k]

with w[k] the BLOCK numbers from w_start + k * w_step on. x, w and sums (M, BLOCK) are contiguous
arrays, x and w counted through as if flat, so that one loop serves matrices and transposed ones.
x and sums are float32, w is float32 or uint16: the bit patterns of bfloat16, the upper half of a
float32.
"""

import numpy as np

from backends.numba.engine.compiled import Part, part
from backends.precision import widen
from backends.reference.packing import BLOCK  # columns of w side by side

TILE_ROWS = 6  # as many sums as fit into the registers (`tile_columns`)
CHUNK = 64  # numbers that are summed up in registers, and of w's columns in the cache at a time


def _tile(rows):
    def add_tile(x, x_start, row_step, step, length, w, w_start, w_step, sums, row):
        k = np.arange(length)
        factors = x.reshape(-1)[x_start + np.arange(rows)[:, None] * row_step + k * step]
        weights = w.reshape(-1)[w_start + k[:, None] * w_step + np.arange(BLOCK)]
        sums[row : row + rows] += factors @ widen(weights)

    return Part(add_tile, lambda: _intrinsic(rows))


add_tile = _tile(TILE_ROWS)
add_two_rows = _tile(2)
add_one_row = _tile(1)


@part
def add_rows(x, x_start, row_step, step, length, w, w_start, w_step, sums, top, rows):
    """The same for `rows` rows of sums from `top` on, in as few tiles as possible."""
    row = 0
    while row + TILE_ROWS <= rows:
        at = x_start + row * row_step
        add_tile(x, at, row_step, step, length, w, w_start, w_step, sums, top + row)
        row += TILE_ROWS
    while row + 2 <= rows:
        at = x_start + row * row_step
        add_two_rows(x, at, row_step, step, length, w, w_start, w_step, sums, top + row)
        row += 2
    if row < rows:
        at = x_start + row * row_step
        add_one_row(x, at, row_step, step, length, w, w_start, w_step, sums, top + row)


@part
def add_product(x, x_start, row_step, step, length, w, w_start, w_step, sums):
    """The same for all rows of sums; every part of w is read from memory once."""
    for first in range(0, length, CHUNK):
        count, start = min(CHUNK, length - first), x_start + first * step
        w_first = w_start + first * w_step
        add_rows(x, start, row_step, step, count, w, w_first, w_step, sums, 0, len(sums))


def vector_registers():
    """(float32 numbers in a register, registers that a tile's sums may take) on this processor.

    AVX-512 and NEON have 32 registers, others 16; some are left to the factors. The variable
    NUMBA_CPU_FEATURES, where it is set, says what Numba may use, such as "+avx,+avx2,+fma".
    """
    features = _processor_features()
    if features.get("avx512f"):
        return 16, 24
    if features.get("avx2"):
        return 8, 12
    return 4, 24 if features.get("neon") else 12


def _processor_features():
    """{name: whether Numba may use it}."""
    import llvmlite.binding
    from numba.core import config

    if config.CPU_FEATURES is None:
        return llvmlite.binding.get_host_cpu_features()
    return {feature[1:]: feature[0] == "+" for feature in config.CPU_FEATURES.split(",") if feature}


def tile_columns(rows):
    """Columns that a tile of `rows` rows takes side by side: a power of two, at most BLOCK.

    As many as leave its sums in registers. With fewer rows they are more, so that the few rows of a
    sampled position read their weights, which is all that such a product costs, from front to back.
    """
    lanes, room = vector_registers()
    columns = BLOCK
    while columns > lanes and rows * columns > room * lanes:
        columns //= 2
    return columns


def _intrinsic(rows):
    """The tile of `rows` rows as a function for compiled code."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    lanes, _ = vector_registers()
    columns = tile_columns(rows)

    @intrinsic
    def add_tile(context, x, x_start, row_step, step, length, w, w_start, w_step, sums, row):
        sizes = (types.intp,) * 4
        signature = types.void(x, *sizes, w, types.intp, types.intp, sums, types.intp)

        def generate(target, builder, signature, arguments):
            arguments = list(arguments)
            for i in (0, 5, 8):
                array = cgutils.create_struct_proxy(signature.args[i])
                arguments[i] = array(target, builder, arguments[i]).data
            for column in range(0, BLOCK, columns):
                _Tile(builder, arguments, column, rows, lanes, columns // lanes).generate()
            return target.get_dummy_value()

        return signature, generate

    return add_tile


class _Tile:
    """The instructions for rows x (vectors * lanes) sums, from `column` of a block on.

    What registers hold, for six rows, and vectors of 16 numbers:

        for one k, of w:                  w[k, 0:16]  w[k, 16:32]  w[k, 32:48]  w[k, 48:64]
        x of row 0 and k, 16 times   *    sums        sums         sums         sums
        x of row 1 and k, 16 times   *    sums        sums         sums         sums
        ...                               ...
        x of row 5 and k, 16 times   *    sums        sums         sums         sums

    Every k reads 64 numbers of w and six of x for 384 products. The 24 registers of sums are added
    to memory once, after the last k. Vectors of 8 or 4 numbers take the columns in several turns.
    """

    def __init__(self, builder, arguments, column, rows, lanes, vectors):
        from llvmlite import ir

        self.ir, self.builder = ir, builder
        self.x, self.x_start, self.row_step, self.step, self.length = arguments[:5]
        self.w, self.w_start, self.w_step, self.sums, self.row = arguments[5:]
        self.size = self.row.type
        self.vector = ir.VectorType(ir.FloatType(), lanes)
        self.column, self.rows, self.lanes, self.vectors = column, rows, lanes, vectors

    def generate(self):
        """Sum up x[k] * w[k] over all k, then add that to the sums.

        Not onto the sums: several short summations round less than a long one.
        """
        from numba.core import cgutils

        builder = self.builder
        zeros = self.ir.Constant(self.vector, [0.0] * self.lanes)
        registers = [
            [cgutils.alloca_once_value(builder, zeros) for _ in range(self.vectors)]
            for _ in range(self.rows)
        ]
        starts = [
            builder.gep(self.x, [builder.add(self.x_start, builder.mul(self.row_step, self._n(m)))])
            for m in range(self.rows)
        ]
        with cgutils.for_range(builder, self.length, intp=self.size) as loop:
            weights = self._weights(loop.index)
            offset = builder.mul(loop.index, self.step)
            for start, row in zip(starts, registers, strict=True):
                factor = self._repeated(builder.load(builder.gep(start, [offset])))
                for register, weight in zip(row, weights, strict=True):
                    product = builder.fmul(factor, weight, flags=("contract",))
                    total = builder.fadd(product, builder.load(register), flags=("contract",))
                    builder.store(total, register)
        for row, values in enumerate(registers):
            for register, target in zip(values, self._sums(row), strict=True):
                total = builder.fadd(builder.load(target, align=4), builder.load(register))
                builder.store(total, target, align=4)

    def _n(self, number):
        return self.size(number)

    def _pointers(self, data, start, kind):
        """Pointers to this tile's vectors of type `kind`, in the BLOCK numbers from `start` on."""
        builder = self.builder
        firsts = [self._n(self.column + v * self.lanes) for v in range(self.vectors)]
        places = [builder.gep(data, [builder.add(start, first)]) for first in firsts]
        return [builder.bitcast(place, kind.as_pointer()) for place in places]

    def _sums(self, row):
        start = self.builder.mul(self.builder.add(self.row, self._n(row)), self._n(BLOCK))
        return self._pointers(self.sums, start, self.vector)

    def _weights(self, k):
        """The vectors of w[k], as float32."""
        ir, builder = self.ir, self.builder
        stored = self.w.type.pointee
        start = builder.add(self.w_start, builder.mul(k, self.w_step))
        pointers = self._pointers(self.w, start, ir.VectorType(stored, self.lanes))
        values = [builder.load(pointer, align=2) for pointer in pointers]
        if stored == ir.IntType(16):
            wide = ir.VectorType(ir.IntType(32), self.lanes)
            values = [builder.shl(builder.zext(v, wide), wide([16] * self.lanes)) for v in values]
        return [builder.bitcast(value, self.vector) for value in values]

    def _repeated(self, number):
        """A vector of one number over and over."""
        ir, builder = self.ir, self.builder
        empty = ir.Constant(self.vector, ir.Undefined)
        first = builder.insert_element(empty, number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(first, empty, zeros)
