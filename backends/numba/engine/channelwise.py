"""One small matrix applied to vectors of channels: what comes before and after Winograd's products.

    y[y_start + p * y_step + c] = sum over q of  matrix[p, q] * x[x_start + q * x_step + c]

for c < count. x and y are contiguous float32 arrays, counted through as if flat. Numba does not
vectorise a loop over so many rows that might overlap, so the loop is written in LLVM's
instructions: for a matrix that is known when it is compiled, all its rows in registers.
"""

import numpy as np

from backends.numba.engine.compiled import Part
from backends.numba.engine.tile import vector_registers


def channelwise(matrix):
    """The `Part` that applies `matrix` (P, Q): (x, x_start, x_step, count, y, y_start, y_step)."""
    matrix = np.asarray(matrix, np.float32)

    def apply(x, x_start, x_step, count, y, y_start, y_step):
        outputs, inputs = (np.arange(size)[:, None] for size in matrix.shape)
        read = x.reshape(-1)[x_start + inputs * x_step + np.arange(count)]
        y.reshape(-1)[y_start + outputs * y_step + np.arange(count)] = matrix @ read

    return Part(apply, lambda: _intrinsic(matrix))


def _intrinsic(matrix):
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    lanes, _ = vector_registers()

    @intrinsic
    def apply(context, x, x_start, x_step, count, y, y_start, y_step):
        size = types.intp
        signature = types.void(x, size, size, size, y, size, size)

        def generate(target, builder, signature, arguments):
            x, x_start, x_step, count, y, y_start, y_step = arguments
            x = cgutils.create_struct_proxy(signature.args[0])(target, builder, x).data
            y = cgutils.create_struct_proxy(signature.args[4])(target, builder, y).data
            number = x_start.type
            sources = _rows(builder, x, x_start, x_step, matrix.shape[1])
            targets = _rows(builder, y, y_start, y_step, matrix.shape[0])
            whole = builder.mul(builder.sdiv(count, number(lanes)), number(lanes))
            vector = ir.VectorType(ir.FloatType(), lanes)
            for kind, first, end, step in (
                (vector, number(0), whole, number(lanes)),
                (ir.FloatType(), whole, count, number(1)),
            ):
                with cgutils.for_range_slice(builder, first, end, step, number) as (c, _):
                    _apply_at(builder, matrix, sources, targets, c, kind)
            return target.get_dummy_value()

        return signature, generate

    return apply


def _rows(builder, data, start, step, count):
    """Pointers to the first channel of each row."""
    places = [builder.add(start, builder.mul(step, step.type(row))) for row in range(count)]
    return [builder.gep(data, [place]) for place in places]


def _apply_at(builder, matrix, sources, targets, c, kind):
    """The channels from c on that a number of type `kind`, a vector or a single one, holds."""

    def pointer(row):
        return builder.bitcast(builder.gep(row, [c]), kind.as_pointer())

    values = [builder.load(pointer(row), align=4) for row in sources]
    for factors, target in zip(matrix, targets, strict=True):
        total = None
        for factor, value in zip(factors, values, strict=True):
            if factor != 0:
                total = _added(builder, total, float(factor), value, kind)
        builder.store(total, pointer(target), align=4)


def _added(builder, total, factor, value, kind):
    """total + factor * value; `total` is None at the beginning."""
    if factor == 1:
        product = value
    else:
        constant = factor if not hasattr(kind, "count") else [factor] * kind.count
        product = builder.fmul(kind(constant), value, flags=("contract",))
    return product if total is None else builder.fadd(total, product, flags=("contract",))
