"""The PyTorch port's model, written from its description: random weights, and what it computes.

Arrays are (N, C, H, W), images in [-1, 1]. Every layer is called by the name of its arrays; a
residual block is x + 1x1(ReLU(3x3(ReLU(x)))).
"""

import numpy as np

CHANNELS, HIDDEN, RESIDUAL, BLOCKS, DIMENSION, CODES = 3, 8, 5, 2, 6, 11


def shapes():
    """{name: shape} of the state."""
    found = {}

    def layer(name, channels_in, channels_out, size, transposed=False):
        ends = (channels_in, channels_out) if transposed else (channels_out, channels_in)
        found[f"{name}.weight"] = (*ends, size, size)
        found[f"{name}.bias"] = (channels_out,)

    def residual(name, first):
        for i in range(first, first + BLOCKS):
            layer(f"{name}.blocks.{i}.conv.1", HIDDEN, RESIDUAL, 3)
            layer(f"{name}.blocks.{i}.conv.3", RESIDUAL, HIDDEN, 1)

    layer("enc_b.blocks.0", CHANNELS, HIDDEN // 2, 4)
    layer("enc_b.blocks.2", HIDDEN // 2, HIDDEN, 4)
    layer("enc_b.blocks.4", HIDDEN, HIDDEN, 3)
    residual("enc_b", 5)
    layer("enc_t.blocks.0", HIDDEN, HIDDEN // 2, 4)
    layer("enc_t.blocks.2", HIDDEN // 2, HIDDEN, 3)
    residual("enc_t", 3)
    layer("quantize_conv_t", HIDDEN, DIMENSION, 1)
    layer("dec_t.blocks.0", DIMENSION, HIDDEN, 3)
    residual("dec_t", 1)
    layer(f"dec_t.blocks.{BLOCKS + 2}", HIDDEN, DIMENSION, 4, transposed=True)
    layer("quantize_conv_b", DIMENSION + HIDDEN, DIMENSION, 1)
    layer("upsample_t", DIMENSION, DIMENSION, 4, transposed=True)
    layer("dec.blocks.0", 2 * DIMENSION, HIDDEN, 3)
    residual("dec", 1)
    layer(f"dec.blocks.{BLOCKS + 2}", HIDDEN, HIDDEN // 2, 4, transposed=True)
    layer(f"dec.blocks.{BLOCKS + 4}", HIDDEN // 2, CHANNELS, 4, transposed=True)
    for name in ("quantize_t", "quantize_b"):
        found[f"{name}.embed"] = (DIMENSION, CODES)
        found[f"{name}.cluster_size"] = (CODES,)
        found[f"{name}.embed_avg"] = (DIMENSION, CODES)
    return found


def random_state(seed=0):
    """{name: float32 array}: weights that keep the size of what goes through them."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes().items():
        fan_in = np.prod(shape[1:]) if len(shape) == 4 else 4
        state[name] = (rng.standard_normal(shape) * 1.4 / np.sqrt(fan_in)).astype(np.float32)
    for name in ("quantize_t", "quantize_b"):
        state[f"{name}.cluster_size"] = rng.uniform(1, 5, CODES).astype(np.float32)
        state[f"{name}.embed_avg"] = state[f"{name}.embed"] * state[f"{name}.cluster_size"]
    return state


def forward(state, images):
    """(top codes, bottom codes, decoded images) in float64, with plain loops over the taps."""
    state = {name: array.astype(np.float64) for name, array in state.items()}

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        size = weight.shape[-1]
        padding = (size - stride + 1) // 2
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        rows = (x.shape[2] - size) // stride + 1
        y = np.zeros((len(x), len(weight), rows, rows)) + state[f"{name}.bias"][:, None, None]
        for i in range(size):
            for j in range(size):
                seen = x[:, :, i : i + stride * rows : stride, j : j + stride * rows : stride]
                y += np.einsum("nchw,dc->ndhw", seen, weight[:, :, i, j])
        return y

    def transposed(name, x):
        weight = state[f"{name}.weight"]  # (in, out, 4, 4)
        n, _, rows, _ = x.shape
        y = np.zeros((n, weight.shape[1], 2 * rows + 2, 2 * rows + 2))
        for i in range(4):
            for j in range(4):
                spread = np.einsum("nchw,cd->ndhw", x, weight[:, :, i, j])
                y[:, :, i : i + 2 * rows : 2, j : j + 2 * rows : 2] += spread
        return y[:, :, 1:-1, 1:-1] + state[f"{name}.bias"][:, None, None]

    def relu(x):
        return np.maximum(x, 0)

    def residual(name, first, x):
        for i in range(first, first + BLOCKS):
            block = f"{name}.blocks.{i}.conv"
            x = x + conv(f"{block}.3", relu(conv(f"{block}.1", relu(x))))
        return relu(x)

    def quantized(name, x):
        embed = state[f"{name}.embed"]
        distances = ((x[:, :, None] - embed[None, :, :, None, None]) ** 2).sum(axis=1)
        codes = distances.argmin(axis=1)
        return codes, embed[:, codes].transpose(1, 0, 2, 3)

    x = relu(conv("enc_b.blocks.0", images, 2))
    x = relu(conv("enc_b.blocks.2", x, 2))
    bottom = residual("enc_b", 5, conv("enc_b.blocks.4", x))
    x = relu(conv("enc_t.blocks.0", bottom, 2))
    top = residual("enc_t", 3, conv("enc_t.blocks.2", x))
    top_codes, top = quantized("quantize_t", conv("quantize_conv_t", top))
    told = residual("dec_t", 1, conv("dec_t.blocks.0", top))
    told = transposed(f"dec_t.blocks.{BLOCKS + 2}", told)
    joined = np.concatenate([told, bottom], axis=1)
    bottom_codes, bottom = quantized("quantize_b", conv("quantize_conv_b", joined))
    joined = np.concatenate([transposed("upsample_t", top), bottom], axis=1)
    x = residual("dec", 1, conv("dec.blocks.0", joined))
    x = relu(transposed(f"dec.blocks.{BLOCKS + 2}", x))
    return top_codes, bottom_codes, transposed(f"dec.blocks.{BLOCKS + 4}", x)
