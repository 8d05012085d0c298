"""Feature networks: what turns images into vectors that can be compared.

Nearest neighbours (section C), Fréchet distance, precision and recall are computed on the features
of any network with this interface:

    name                  what to call it in reports
    size, channels        the images it looks at, (N, size, size, channels) in [0, 1]
    features(images)      float32 (N, D), a block of images at a time

`FeatureNetwork` is a base class for it, whose subclasses say what one block gives. Pixels and any
named layer of any module are such networks here; so is VGG-16 (`vqv2.lab.evaluation.vgg`).
"""

import numpy as np
from PIL import Image

from backends import to_host
from vqv2.autodiff import Tensor, no_grad
from vqv2.errors import InputError
from vqv2.nn import Module
from vqv2.nn.module import watching

BLOCK = 64  # images at a time: what bounds the memory of activations


class FeatureNetwork:
    """A base class: fits images to the network and hands them on in blocks of `block`.

    A subclass gives `_block`.
    """

    def __init__(self, name, size, channels, block=BLOCK):
        self.name = name
        self.size = size
        self.channels = channels
        self.block = block

    def features(self, images):
        """Images (N, H, W, C) in [0, 1] -> float32 (N, D) on the host; C is 1 or 3.

        Images of another size are resized, grey ones get three equal channels where the network
        wants three, coloured ones become grey where it wants one. Raises `InputError` for what is
        no stack of images.
        """
        images = _checked(images)
        parts = [
            self._block(fitted(images[start : start + self.block], self.size, self.channels))
            for start in range(0, len(images), self.block)
        ]
        return np.concatenate([np.asarray(to_host(part), np.float32) for part in parts])

    def _block(self, images):
        """Features (N, D) of float32 images (N, size, size, channels)."""
        raise NotImplementedError


class Pixels(FeatureNetwork):
    """The pixels themselves, in raster order: D = size * size * channels (Figure 3)."""

    def __init__(self, size, channels, block=BLOCK):
        super().__init__("pixels", size, channels, block)

    def _block(self, images):
        return images.reshape(len(images), -1)


class LayerFeatures(FeatureNetwork):
    """What a named layer inside a module puts out, when the module is called with images.

    module   called as `module(images)`; what comes after the layer is not computed
    layer    the dotted name of a part, as in `module.parameters()`: "encoders.0", "dense.1"
    pooled   an output (N, H, W, C) is averaged over its positions, to (N, C); false keeps all of
             it, (N, H * W * C)

    Raises `InputError` when there is no such layer, or when it puts out something else than one
    tensor (N, ...).
    """

    def __init__(self, name, module, layer, size, channels, pooled=True, block=BLOCK):
        super().__init__(name, size, channels, block)
        self.module = module
        self.layer = part_of(module, layer)
        self.layer_name = layer
        self.pooled = pooled

    def _block(self, images):
        with no_grad():
            output = _output_of(self.layer, lambda: self.module(images))
        if not isinstance(output, Tensor) or output.shape[:1] != images.shape[:1]:
            raise InputError(
                f"layer {self.layer_name} of {self.name} does not put out one tensor of features "
                "for each image: choose another layer"
            )
        array = output.array
        if self.pooled and array.ndim == 4:
            return array.mean(axis=(1, 2))
        return array.reshape(len(array), -1)


def encoder_features(autoencoder, pooled=True, block=None):
    """The coarsest encoder's output of an `Autoencoder`, before it is quantised.

    A feature network that every run has: its vectors are what the top codes are made of. It knows
    what the autoencoder reconstructs, not what people see in an image. `block` images at once, by
    default those of `AutoencoderConfig.images_at_once`.
    """
    config = autoencoder.config
    block = config.images_at_once(most=BLOCK) if block is None else block
    where = "averaged over the map" if pooled else "the whole map"
    name = f"top encoder, {where}"
    size, channels = config.image_size, config.channels
    return LayerFeatures(name, autoencoder, "encoders.0", size, channels, pooled, block)


def part_of(module, name):
    """The module at a dotted name: `part_of(autoencoder, "encoders.0.refinement")`.

    Raises `InputError` naming what there is when it does not exist.
    """
    part = module
    for step, key in enumerate(name.split(".")):
        parts = dict(_named_parts(part))
        if key not in parts:
            where = ".".join(name.split(".")[:step]) or "the network"
            there = ", ".join(parts) or "no parts"
            raise InputError(f"there is no layer {name!r}: {where} has {there}")
        part = parts[key]
    if not isinstance(part, Module):
        inside = ", ".join(f"{name}.{key}" for key, _ in _named_parts(part))
        raise InputError(f"{name!r} is not one layer but several: choose one of {inside}")
    return part


def _named_parts(value):
    """(key, part) of the modules and the lists and dictionaries of modules directly inside."""
    if isinstance(value, Module):
        value = vars(value)
    elif isinstance(value, list | tuple):
        value = {str(position): part for position, part in enumerate(value)}
    for key, part in value.items() if isinstance(value, dict) else ():
        if isinstance(part, Module | list | tuple | dict) and _holds_modules(part):
            yield str(key), part


def _holds_modules(part):
    if isinstance(part, Module):
        return True
    inside = part.values() if isinstance(part, dict) else part
    return any(isinstance(value, Module) for value in inside)


class _Reached(Exception):
    """Carries the output of a layer out of the network that computes it."""

    def __init__(self, output):
        super().__init__()
        self.output = output


def _output_of(layer, run):
    """What `layer` returns the first time that `run()` calls it; the rest of `run` is left out."""

    def watch(module, inputs, call):
        output = call()
        if module is layer:
            raise _Reached(output)
        return output

    try:
        with watching(watch):
            run()
    except _Reached as reached:
        return reached.output
    raise InputError("this layer takes no part when the network is called: choose another layer")


def fitted(images, size, channels):
    """Float images (N, H, W, C) as float32 (N, size, size, channels); the same array if they fit.

    Resized with Pillow's bilinear filter, which averages when it shrinks; grey is repeated, colour
    becomes luma (ITU-R 601-2).
    """
    if images.shape[3] != channels:
        images = images.repeat(3, axis=3) if channels == 3 else _luma(images)
    if images.shape[1:3] != (size, size):
        images = np.stack([_resized(image, size) for image in images])
    return np.asarray(images, np.float32)


def _luma(images):
    return (images @ np.array([0.299, 0.587, 0.114], images.dtype))[..., None]


def _resized(image, size):
    planes = [
        Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _checked(images):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or len(images) == 0:
        raise InputError(
            f"images have shape {images.shape}: give (N, H, W, C), at least one, with C 1 or 3"
        )
    if images.dtype.kind != "f":
        raise InputError(f"images are {images.dtype}: divide by 255 for floats in [0, 1]")
    return images


def source_features(network, source, indices, block=BLOCK):
    """Features (N, D) of the images `indices` of an `ImageSource`, read a block at a time."""
    return np.concatenate(
        [
            network.features(source.batch(indices[start : start + block]))
            for start in range(0, len(indices), block)
        ]
    )
