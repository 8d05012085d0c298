"""The autoencoder of the widely used PyTorch port of VQ-VAE-2, in our modules and back.

Its `vqvae.py` has enc_b, enc_t, dec_t, dec, quantize_conv_t, quantize_conv_b, quantize_t,
quantize_b and upsample_t: two levels at 1/8 (top) and 1/4 (bottom) of the image's size. That is our
model with other names and layouts, except for two things that are put right in the weights:

* Its images are in [-1, 1], ours in [-0.5, 0.5] inside. The weights of the first convolution are
  multiplied by 2, the last convolution by 1/2: powers of two, which change no digit of a result.
* Its last projection reads [decoded top, encoder], ours [encoder, decoded top].

Its codebook averages (equation 3) are not debiased: here they count as begun so long ago that there
is nothing left to debias, and training on goes as it would there. It smooths the counts without the
sums, which draws codes that it no longer uses to the origin; in either direction the sums are set
such that the next update leaves all code vectors where they are, as long as nothing chooses them.
"""

import re
from typing import NamedTuple

import numpy as np

from vqv2.config import AutoencoderConfig, replace
from vqv2.errors import InputError
from vqv2.models.autoencoder import Autoencoder

LONG_AGO = 2**20  # steps
WHAT = (
    "it is not the state of the PyTorch port's VQVAE (enc_b, enc_t, quantize_t, dec, ...), nor "
    "written by `vqv2 export`"
)


class Rule(NamedTuple):
    """How one of the port's arrays becomes one of ours."""

    theirs: str
    ours: str
    kind: str  # "kernel", "pointwise" (a 1x1 kernel), "vector" or "codebook"
    scale: float = 1.0  # ours / theirs


def configuration(arrays, image_size):
    """The `AutoencoderConfig` of the port's arrays {name: array}, for images of `image_size`.

    The weights do not tell the size of the images; what else they do not tell is Table 3's. Raises
    `InputError` when they are not the port's.
    """

    def shape(name, dimensions):
        if name not in arrays or arrays[name].ndim != dimensions:
            raise InputError(f"there is no array {name} of {dimensions} dimensions: {WHAT}")
        return arrays[name].shape

    half, channels, filter_size, _ = shape("enc_b.blocks.0.weight", 4)
    dimension, count = shape("quantize_t.embed", 2)
    blocks = [n for n in arrays if re.fullmatch(r"enc_b\.blocks\.\d+\.conv\.1\.weight", n)]
    found = {
        "image_size": image_size,
        "latent_sizes": (image_size // 8, image_size // 4),
        "channels": channels,
        "hidden_units": 2 * half,
        "residual_units": shape("enc_b.blocks.5.conv.1.weight", 4)[0],
        "layers": len(blocks),
        "codebook_size": count,
        "codebook_dimension": dimension,
        "upsampling_filter_size": filter_size,
    }
    return replace(AutoencoderConfig(), found)


def from_port(arrays, config):
    """The `Autoencoder` with the port's arrays {name: array}.

    Raises `InputError` naming an array that is missing, not expected, or of another shape.
    """
    model = Autoencoder(config, np.random.default_rng(0))
    state, rules = model.state(), _rules(config)
    wanted = {rule.theirs for rule in rules}
    for what, found in (("no", wanted - set(arrays)), ("an unknown", set(arrays) - wanted)):
        if found:
            raise InputError(
                f"there is {what} array {sorted(found)[0]} ({len(found)} such): {WHAT}"
            )
    for rule in rules:
        array, shape = np.asarray(arrays[rule.theirs]), _their_shape(rule, state[rule.ours].shape)
        if array.shape != shape:
            raise InputError(
                f"the array {rule.theirs} has shape {array.shape}, but {shape} fits the others"
            )
        state[rule.ours] = _to_ours(rule, array)
    _turn_inputs(state, config.codebook_dimension)
    for name in ("quantizers.0", "quantizers.1"):
        state[f"{name}.sums"] = state[f"{name}.codebook"] * state[f"{name}.counts"][:, None]
        state[f"{name}.started"][...] = 1
        state[f"{name}.steps"][...] = LONG_AGO
    model.load_state(state)
    return model


def to_port(model):
    """The port's arrays {name: array} of an `Autoencoder`.

    Raises `InputError` when the port has no such model.
    """
    config, size = model.config, model.config.image_size
    filters = (config.encoder_filter_size, config.upsampling_filter_size)
    if config.latent_sizes != (size // 8, size // 4) or filters != (3, 4):
        raise InputError(
            "the PyTorch port has two levels at 1/8 and 1/4 of the image's size, and filters of 3 "
            f"and 4; this model has latent_sizes {config.latent_sizes} for image_size {size}, and "
            f"filters of {filters[0]} and {filters[1]}: export it under the names vqv2"
        )
    state = model.state()
    for name in ("quantizers.0", "quantizers.1"):
        _as_their_averages(state, name, config)
    _turn_inputs(state, config.hidden_units)
    return {rule.theirs: _to_theirs(rule, state[rule.ours]) for rule in _rules(config)}


def _rules(config):
    """A rule for every array of the port. Of ours, 0 is the top and 1 the bottom level."""
    rules = [
        *_encoder("enc_b", "encoders.1", 2, config, first_scale=2.0),
        *_encoder("enc_t", "encoders.0", 1, config),
        *_layer("quantize_conv_t", "projections.0.linear", "pointwise"),
        *_layer("quantize_conv_b", "projections.1.linear", "pointwise"),
        *_layer("upsample_t", "decoders.1.fusion.upsampling.0.convolutions.0", "kernel"),
        *_decoder("dec_t", "decoders.0", 1, config),
        *_decoder("dec", "decoders.1", 2, config, last_scale=0.5),
    ]
    for theirs, ours in (("quantize_t", "quantizers.0"), ("quantize_b", "quantizers.1")):
        rules.append(Rule(f"{theirs}.embed", f"{ours}.codebook", "codebook"))
        rules.append(Rule(f"{theirs}.cluster_size", f"{ours}.counts", "vector"))
        rules.append(Rule(f"{theirs}.embed_avg", f"{ours}.sums", "codebook"))
    return rules


def _layer(theirs, ours, kind, weight_scale=1.0, bias_scale=1.0):
    return [
        Rule(f"{theirs}.weight", f"{ours}.weight", kind, weight_scale),
        Rule(f"{theirs}.bias", f"{ours}.bias", "vector", bias_scale),
    ]


def _encoder(theirs, ours, strided, config, first_scale=1.0):
    """Strided convolutions with a ReLU after each, a 3x3 convolution, the residual blocks."""
    rules = []
    for i in range(strided):
        scale = first_scale if i == 0 else 1.0
        own = f"{ours}.downsampling.convolutions.{i}"
        rules += _layer(f"{theirs}.blocks.{2 * i}", own, "kernel", scale)
    return rules + _refinement(theirs, f"{ours}.refinement", 2 * strided, config)


def _decoder(theirs, ours, transposed, config, last_scale=1.0):
    """A 3x3 convolution, the residual blocks, a ReLU before each transposed convolution."""
    rules = _refinement(theirs, f"{ours}.fusion.refinement", 0, config)
    for i in range(transposed):
        scale = last_scale if i == transposed - 1 else 1.0
        place = f"{theirs}.blocks.{config.layers + 2 + 2 * i}"
        rules += _layer(place, f"{ours}.upsampling.convolutions.{i}", "kernel", scale, scale)
    return rules


def _refinement(theirs, ours, first, config):
    """A 3x3 convolution and the residual blocks."""
    rules = _layer(f"{theirs}.blocks.{first}", f"{ours}.convolution", "kernel")
    for i in range(config.layers):
        block, own = f"{theirs}.blocks.{first + 1 + i}.conv", f"{ours}.stack.blocks.{i}"
        rules += _layer(f"{block}.1", f"{own}.spatial", "kernel")
        rules += _layer(f"{block}.3", f"{own}.pointwise", "pointwise")
    return rules


def _their_shape(rule, shape):
    """The shape of the port's array for one of ours."""
    if rule.kind == "kernel":  # ours (height, width, in, out), theirs (out, in, height, width)
        return (*shape[:1:-1], *shape[:2])
    return (*shape[::-1], 1, 1) if rule.kind == "pointwise" else shape[::-1]


def _to_ours(rule, array):
    if rule.kind == "kernel":
        array = array.transpose(2, 3, 1, 0)
    elif rule.kind == "pointwise":
        array = array[:, :, 0, 0]
    if rule.kind in ("pointwise", "codebook"):
        array = array.T
    return array.astype(np.float32) * np.float32(rule.scale)


def _to_theirs(rule, array):
    array = array / np.float32(rule.scale)
    if rule.kind == "kernel":
        return array.transpose(3, 2, 0, 1)
    return array.T[:, :, None, None] if rule.kind == "pointwise" else array.T


def _turn_inputs(state, first):
    """Put the `first` inputs of the bottom's projection behind its others."""
    name = "projections.1.linear.weight"
    state[name] = np.roll(state[name], -first, axis=0)


def _as_their_averages(state, name, config):
    """Debias equation 3's counts; sums such that the port's smoothing leaves the codebook."""
    steps, counts = state[f"{name}.steps"], state[f"{name}.counts"].astype(np.float64)
    counts /= np.where(steps > 0, 1 - config.codebook_decay**steps, 1)
    epsilon, total = config.codebook_epsilon, counts.sum()
    smoothed = (counts + epsilon) / (total + len(counts) * epsilon) * total
    state[f"{name}.counts"] = counts.astype(np.float32)
    state[f"{name}.sums"] = (state[f"{name}.codebook"] * smoothed[:, None]).astype(np.float32)
