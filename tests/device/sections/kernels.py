"""The kernels at the sizes of the paper's models: times, and bytes or operations a second.

Both are counted as `backends.shapes.launch` does, so that `vqv2 plan --measured` can read them.
"""

import numpy as np

import backends
from backends import kernels, to_device
from backends.cupy import conv
from backends.cupy.engine import half
from backends.process import device_memory
from backends.reference.causal_conv import tap_count
from backends.reference.packing import STORAGES
from tests.device.measure import seconds_of_run
from tests.device.sections.ceilings import normal

HALVES = ("tf32", "bfloat16")
# Maps, their rows and columns, channels in and out; heads and their width; weights of a sampler.
SIZES = {
    "tiny": {"maps": 1, "size": 4, "narrow": 4, "wide": 8, "width": 4, "sampled": ((8, 16),)},
    "device": {
        "maps": 64,
        "size": 32,
        "narrow": 512,
        "wide": 2048,
        "width": 32,
        "sampled": ((1536, 2048), (2048, 1024), (1536, 1024)),
    },
}
HEADS, KERNEL = 8, 5
ROWS = (1, 8, 32, 64)  # images sampled side by side
LAYERS = 24  # of weights read in turn: more than the cache holds


def measure(report, scale):
    """Family by family."""
    sizes = SIZES[scale]
    for family in (_patches, _convolutions, _elementwise, _channels, _attention, _others):
        for name, run, amounts in family(**sizes):
            report.tried(name, lambda r=run, a=amounts: rates(r, **a))
        device_memory.release()
    for storage in STORAGES:
        for rows in ROWS:
            for length, columns in sizes["sampled"]:
                name = f"affine_at {storage} {rows} {length} {columns}"
                measured = lambda a=(storage, rows, length, columns): _affine(*a)  # noqa: E731
                report.tried(name, measured)


def rates(run, traffic=0, operations=0):
    """{"ms", "GB/s", "TFLOP/s"} of a function that moves `traffic` bytes, or computes."""
    seconds = seconds_of_run(run)
    found = {"ms": 1e3 * seconds}
    if traffic:
        found["GB/s"] = traffic / seconds / 1e9
    if operations:
        found["TFLOP/s"] = operations / seconds / 1e12
    return found


def _patches(maps, size, narrow, **_):
    """(name, function, bytes) of one block of patches."""
    x, taps = normal(maps, size, size, narrow), tap_count(KERNEL, True)
    patches = conv.Patches(x.shape, size, size, KERNEL, taps, 1, KERNEL // 2)
    _, first, block = next(patches.blocks(np.dtype(np.float32)))
    seen = len(block) / (maps * size**2) * x.nbytes  # of the maps, by one block
    work = {"traffic": seen + block.nbytes}
    yield "unfold", lambda: patches.unfold(x, first, block), work
    work = {"traffic": block.nbytes + 2 * seen}
    yield "fold", lambda: patches.fold(block, first, x, True), work
    with backends.use(precision="bfloat16"):
        rounded = half.halved(x)
        _, first, halves = next(patches.blocks(np.dtype(np.float32)))
        seen = len(halves) / (maps * size**2) * rounded.bits.nbytes
        unfold = lambda: patches.unfold(rounded, first, halves)  # noqa: E731
        yield "unfold_halves", unfold, {"traffic": seen + halves.bits.nbytes}


def _convolutions(maps, size, narrow, wide, **_):
    """A causal 5x5 convolution, its products included, in the precisions of tensor cores."""
    taps = tap_count(KERNEL, True)
    x, y = normal(maps, size, size, narrow), normal(maps, size, size, wide)
    w = normal(taps, narrow, wide)
    work = {"operations": 2 * maps * size**2 * taps * narrow * wide}
    for precision in HALVES:
        with backends.use(precision=precision):
            yield (
                f"causal convolution {precision}",
                lambda: kernels.causal_conv2d(x, w, KERNEL),
                work,
            )
            yield (
                f"its input's gradient {precision}",
                lambda: kernels.causal_conv2d_input_gradient(y, w, KERNEL),
                work,
            )
            yield (
                f"its weights' gradient {precision}",
                lambda: kernels.causal_conv2d_weight_gradient(x, y, KERNEL, taps),
                work,
            )


def _elementwise(maps, size, wide, **_):
    x = normal(maps * size**2, wide)
    yield "elu", lambda: kernels.elu(x), {"traffic": 2 * x.nbytes}
    yield "gate", lambda: kernels.gate(x), {"traffic": 1.5 * x.nbytes}
    features = x.reshape(maps, size, size, wide)
    block = (features[..., : wide // 2].copy(), features, normal(wide), None, None, 0.1, 1)
    yield "gate_block", lambda: kernels.gate_block(*block), {"traffic": 3 * x.nbytes}
    with backends.use(precision="bfloat16"):
        yield "to_halves", lambda: half.halved(x), {"traffic": 1.5 * x.nbytes}


def _channels(maps, size, wide, **_):
    """Biases, and the passes of batch normalisation."""
    rows, vector = normal(maps * size**2, wide), normal(wide)
    once, twice, thrice = ({"traffic": n * rows.nbytes} for n in (1, 2, 3))
    yield "add_bias", lambda: kernels.add_bias(rows, vector), twice
    yield "sum_rows", lambda: kernels.sum_rows(rows), once
    yield "moments", lambda: kernels.moments(rows), once
    settings = (rows, vector, vector**2, vector, vector, 1e-5, True)
    yield "normalize", lambda: kernels.normalize(*settings), twice
    sums = lambda: kernels.normalize_parameter_gradient(*settings, rows)  # noqa: E731
    yield "normalize_parameter_gradient", sums, twice
    gradient = (*settings, rows, vector, vector, 1.0)
    yield "normalize_input_gradient", lambda: kernels.normalize_input_gradient(*gradient), thrice


def _attention(maps, size, width, **_):
    q, k, v = (normal(maps, HEADS, size**2, width) for _ in range(3))
    pairs = maps * HEADS * size**4 // 2
    for dropout in (0.0, 0.1):
        settings = (dropout, 1, "logits")
        forward = lambda s=settings: kernels.causal_attention(q, k, v, *s)  # noqa: E731
        saved = (*forward(), q)
        backward = lambda s=settings, a=saved: kernels.causal_attention_gradient(  # noqa: E731
            q, k, v, *a, *s
        )
        work = {"operations": 4 * width * pairs}
        yield f"attention, dropout {dropout}", forward, work
        work = {"operations": 8 * width * pairs}  # needed: two kernels compute weights again
        yield f"attention's gradients, dropout {dropout}", backward, work


def _others(maps, size, narrow, width, **_):
    count, dimensions = 2 * maps * (2 * size) ** 2, 2 * width  # 128 maps of 64 x 64
    vectors, codebook = normal(count, dimensions), normal(narrow, dimensions)
    codes = kernels.nearest_code(vectors, codebook)
    nearest = {"operations": 3 * vectors.size * narrow}
    yield "nearest_code", lambda: kernels.nearest_code(vectors, codebook), nearest
    statistics = lambda: kernels.codebook_statistics(vectors, codes, narrow)  # noqa: E731
    yield "codebook_statistics", statistics, {"traffic": vectors.nbytes}
    arrays = [normal(maps * 2**10 * size**2) for _ in range(5)]
    constants = (10, 2e-4, 0.9, 0.999, 1e-8, 0.9999)
    update = lambda: kernels.adam_update(*arrays, *constants)  # noqa: E731
    yield "adam", update, {"traffic": 9 * arrays[0].nbytes}


def _affine(storage, rows, length, columns):
    """A sampled position's product, over the weights of several layers in turn."""
    weights = [kernels.prepare_weights(normal(length, columns), storage) for _ in range(LAYERS)]
    x, offset, following = (normal(rows, 1, n) for n in (length, columns, columns))
    y, where = normal(rows, columns), to_device(np.zeros(1, np.int64))

    def run():
        for w in weights:
            kernels.affine_at(where, 1, x, w, offset, y, following)

    traffic = LAYERS * weights[0].nbytes
    return rates(run, traffic, 2 * LAYERS * rows * length * columns)
