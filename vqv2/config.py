"""Configurations: the paper's hyper-parameters (Tables 1, 2 and 3) and the readings around them.

Each field says where it comes from; "here" marks what the paper does not state. `vqv2 config show`
prints them. A configuration is written into the run folder as JSON and read back from there.
"""

import dataclasses
import difflib
import operator
import typing

from backends import PRECISIONS
from vqv2.errors import InputError
from vqv2.files import shown


def level_names(count):
    """Names of the levels from coarse to fine: ("top",), ("top", "bottom"), ("top", "middle", ...).

    With more than three: top, middle1, middle2, ..., bottom.
    """
    if count == 1:
        return ("top",)
    if count <= 3:
        return ("top", "middle", "bottom")[: count - 1] + ("bottom",)
    return ("top", *(f"middle{i}" for i in range(1, count - 1)), "bottom")


def check_levels(names, levels):
    """Raise `InputError` where one of the `names` is not that of a level."""
    for name in names:
        if name not in levels:
            raise InputError(f"there is no level {name!r}: the levels are {', '.join(levels)}")


class Interval(typing.NamedTuple):
    """The numbers that a field may have: `least` to `most`, perhaps `without` one of these two."""

    least: float
    most: float
    without: float | None = None

    def __contains__(self, number):
        """Whether a number is one of them; NaN is not."""
        return self.least <= number <= self.most and number != self.without

    def __str__(self):
        """Which they are, in words."""
        but = "" if self.without is None else f", but not {self.without}"
        return f"from {self.least} to {self.most}{but}"


# Wide enough for what anybody could want, and narrow enough for every product of a few of them to
# be a number of bytes: what is too much is then a lack of memory.
SIZE = Interval(1, 2**16)  # of images and maps, in pixels
UNITS = Interval(1, 2**16)  # of a layer: channels, dimensions
CODES = Interval(1, 2**16)  # codes are uint16
CHANNELS = Interval(1, 2**10)
FILTER = Interval(1, 255)
DEPTH = Interval(1, 2**10)  # layers one after the other
MAYBE_DEPTH = Interval(0, 2**10)
BATCH = Interval(1, 2**20)
STEPS = Interval(1, 2**40)
MAYBE_STEPS = Interval(0, 2**40)
POSITIVE = Interval(0, 1e30, without=0)
NOT_NEGATIVE = Interval(0, 1e30)
RATE = Interval(0, 1, without=1)
AUTO = "auto"  # bfloat16 or float16 on a device that has it, else float32
PRECISION = (AUTO, *PRECISIONS)
AUGMENTATION = ("none", "imagenet", "ffhq")


def _field(default, source, allowed=None):
    """A field of a configuration, where it comes from, and an `Interval` or choices of text."""
    return dataclasses.field(default=default, metadata={"source": source, "allowed": allowed})


def _check_fields(config):
    """Raise `InputError` for a field that is not what it may be."""
    for field in dataclasses.fields(config):
        allowed, value = field.metadata["allowed"], getattr(config, field.name)
        values = value if isinstance(value, tuple) else (value,)
        if allowed is not None and not all(one in allowed for one in values):
            words = allowed if isinstance(allowed, Interval) else f"one of {', '.join(allowed)}"
            raise InputError(
                f"{field.name}={shown(value)} must be {words} ({field.metadata['source']})"
            )


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """Stage 1 (Table 3); the defaults are the table's column "ImageNet"."""

    image_size: int = _field(256, "Table 3, Input size; pixels", SIZE)
    channels: int = _field(3, "here: 1 for grey images", CHANNELS)
    latent_sizes: tuple[int, ...] = _field((32, 64), "Table 3, Latent layers; coarse to fine", SIZE)
    hidden_units: int = _field(128, "Table 3, Hidden units", UNITS)
    residual_units: int = _field(64, "Table 3, Residual units", UNITS)
    layers: int = _field(2, "Table 3, Layers", DEPTH)
    codebook_size: int = _field(512, "Table 3, Codebook size", CODES)
    codebook_dimension: int = _field(64, "Table 3, Codebook dimension", UNITS)
    encoder_filter_size: int = _field(3, "Table 3, Encoder conv filter size", FILTER)
    upsampling_filter_size: int = _field(4, "Table 3, Upsampling conv filter size", FILTER)
    commitment: float = _field(0.25, "Table 3, beta of equation 2", NOT_NEGATIVE)
    codebook_update: str = _field(
        "ema", "equation 3; or loss: the gradient of ||sg[E(x)] - e||^2", ("ema", "loss")
    )
    codebook_decay: float = _field(0.99, "equation 3, gamma", RATE)
    codebook_epsilon: float = _field(1e-5, "here: Laplace smoothing of counts and sums", POSITIVE)
    level_dropout: float = _field(0.0, "here: how often training decodes coarse levels only", RATE)
    restart_after: int = _field(
        200, "here: steps until an unused code restarts; 0: never", MAYBE_STEPS
    )
    batch: int = _field(128, "Table 3, Batch size", BATCH)
    accumulate: int = _field(
        1, "here: parts in which a step computes its batch, to save memory", BATCH
    )
    steps: int = _field(2207444, "Table 3, Training steps", STEPS)
    learning_rate: float = _field(2e-4, "Table 3, Learning Rate", POSITIVE)
    decay_learning_rate: bool = _field(False, "here: true lets it fall to zero, half a cosine")
    polyak_decay: float = _field(0.9999, "Table 3, Polyak EMA decay; after a warm-up", RATE)
    gradient_clipping: float = _field(
        0.0, "here: largest norm of the gradient; 0: any", NOT_NEGATIVE
    )
    log_gradient_norm: bool = _field(False, "here: true writes it into the log")
    augmentation: str = _field("imagenet", "section A.1: none, imagenet or ffhq", AUGMENTATION)
    recompute: bool = _field(False, "here: true computes the finest level twice, to save memory")
    precision: str = _field(AUTO, "here: of products; auto: for the device", PRECISION)

    @property
    def levels(self):
        """Names of the levels, coarse to fine."""
        return level_names(len(self.latent_sizes))

    def images_at_once(self, processes=1, most=32):
        """How many images to encode or decode at once: as many as a step of training, up to `most`.

        Each of so many `processes` has its share of a step's batch. Encoding keeps no activations
        for a backward pass: who could train a model can use it.
        """
        return max(1, min(most, self.batch // (self.accumulate * processes)))

    def check(self):
        """Raise `InputError` when the fields do not make a model."""
        _check_fields(self)
        sizes = (*self.latent_sizes, self.image_size)
        if not self.latent_sizes:
            raise InputError("latent_sizes is empty: a model has at least one level")
        for coarse, fine in zip(sizes, sizes[1:], strict=False):
            factor = fine // max(1, coarse)
            if coarse < 1 or fine % coarse or factor < 2 or factor & (factor - 1):
                raise InputError(
                    f"latent_sizes {self.latent_sizes} and image_size {self.image_size} must each "
                    f"be 2, 4, 8, ... times the one before; {fine} is not that of {coarse}"
                )
        _check_parts(self)
        if self.upsampling_filter_size % 2 or self.upsampling_filter_size < 2:
            raise InputError("upsampling_filter_size must be even, as in Table 3 (4)")
        if self.encoder_filter_size % 2 == 0:
            raise InputError("encoder_filter_size must be odd, as in Table 3 (3)")
        if self.hidden_units % 2:
            raise InputError("hidden_units must be even: the first convolution has half as many")
        return self


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """One prior of stage 2 (a column of Table 1 or 2); the defaults are Table 1's top prior."""

    hidden_units: int = _field(512, "Table 1, Hidden units", UNITS)
    residual_units: int = _field(2048, "Table 1, Residual units", UNITS)
    layers: int = _field(20, "Table 1, Layers", DEPTH)
    attention_layers: int = _field(4, "Table 1, Attention layers", MAYBE_DEPTH)
    attention_every: int = _field(
        0, "here: layers before each of them; 0: layers / their number", MAYBE_DEPTH
    )
    attention_heads: int = _field(8, "Table 1, Attention heads", UNITS)
    filter_size: int = _field(5, "Table 1, Conv Filter size", FILTER)
    second_kernel: int = _field(1, "here: 5 makes the second convolution causal 5x5, too", FILTER)
    dropout: float = _field(0.1, "Table 1, Dropout", RATE)
    attention_dropout: str = _field(
        "logits", "section A.2; or weights: after the softmax", ("logits", "weights")
    )
    output_stack_layers: int = _field(20, "Table 1, Output stack layers", MAYBE_DEPTH)
    condition_output_stack: bool = _field(False, "here: true tells it class and coarser codes")
    conditioning_blocks: int = _field(0, "Table 1, Conditioning stack residual blocks", MAYBE_DEPTH)
    conditioning_units: int = _field(1024, "section A.2, pseudo-code line 12", UNITS)
    batch: int = _field(1024, "Table 1, Batch size", BATCH)
    accumulate: int = _field(
        1, "here: parts in which a step computes its batch, to save memory", BATCH
    )
    steps: int = _field(1600000, "Table 1, Training steps", STEPS)
    learning_rate_scale: float = _field(0.18, "section A.2, first factor of the formula", POSITIVE)
    warmup_steps: int = _field(16000, "section A.2, in the formula", STEPS)
    decay_exponent: float = _field(
        0.35, 'section A.2, in the formula ("square root" in its text)', NOT_NEGATIVE
    )
    polyak_decay: float = _field(0.9999, "Table 1, Polyak EMA decay; after a warm-up", RATE)
    gradient_clipping: float = _field(
        0.0, "here: largest norm of the gradient; 0: any", NOT_NEGATIVE
    )
    log_gradient_norm: bool = _field(False, "here: true writes it into the log")
    recompute: bool = _field(False, "here: true computes activations twice, to save memory")
    precision: str = _field(AUTO, "here: of products; auto: for the device", PRECISION)

    def check(self):
        """Raise `InputError` when the fields do not make a model."""
        _check_fields(self)
        _check_parts(self)
        if self.hidden_units % (2 * self.attention_heads):
            raise InputError(
                f"hidden_units {self.hidden_units} must be a multiple of 2 x attention_heads "
                f"{self.attention_heads}: the heads share half the hidden units"
            )
        if self.attention_layers > self.layers:
            raise InputError(
                f"attention_layers {self.attention_layers} is more than layers {self.layers}"
            )
        if self.attention_every * self.attention_layers > self.layers:
            raise InputError(
                f"attention_every {self.attention_every} times attention_layers "
                f"{self.attention_layers} is more than layers {self.layers}"
            )
        for name in ("filter_size", "second_kernel"):
            if getattr(self, name) % 2 == 0:
                raise InputError(f"{name} must be odd, as in Table 1 (5)")
        if self.filter_size < 3:
            raise InputError("filter_size must be at least 3: a 1x1 layer sees no other position")
        if self.conditioning_units % 4:
            raise InputError("conditioning_units must be a multiple of 4 (pseudo-code: 1024, 256)")
        return self


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """A small convolutional classifier, which judges samples; none of it is in the paper."""

    image_size: int = _field(32, "here", SIZE)
    channels: int = _field(3, "here: 1 for greyscale", CHANNELS)
    hidden_units: int = _field(
        32, "here: channels at half the size; then twice, then 4 times", UNITS
    )
    feature_units: int = _field(128, "here", UNITS)
    dropout: float = _field(0.3, "here: of the features", RATE)
    batch: int = _field(64, "here", BATCH)
    accumulate: int = _field(
        1, "here: parts in which a step computes its batch, to save memory", BATCH
    )
    steps: int = _field(1000, "here", STEPS)
    learning_rate: float = _field(2e-3, "here", POSITIVE)
    decay_learning_rate: bool = _field(True, "here: the rate falls to zero along a half cosine")
    polyak_decay: float = _field(0.98, "here", RATE)
    gradient_clipping: float = _field(
        0.0, "here: largest norm of the gradient; 0: any", NOT_NEGATIVE
    )
    log_gradient_norm: bool = _field(False, "here: true writes it into the log")
    augmentation: str = _field(
        "none", "here: or imagenet, or ffhq, as for the autoencoder", AUGMENTATION
    )
    precision: str = _field(AUTO, "here: of products; auto: for the device", PRECISION)

    def check(self):
        """Raise `InputError` when the fields do not make a model."""
        _check_fields(self)
        _check_parts(self)
        if self.image_size % 4:
            raise InputError(f"image_size {self.image_size} must be a multiple of 4")
        return self


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole hierarchy: the autoencoder, and one prior for each level from coarse to fine."""

    name: str
    autoencoder: AutoencoderConfig
    priors: tuple[PriorConfig, ...]
    conditional: bool = _field(True, "here: the priors are told the class, where there are any")

    @property
    def levels(self):
        """Names of the levels, coarse to fine."""
        return self.autoencoder.levels

    def prior(self, level):
        """The configuration of the prior of `level`."""
        return self.priors[self.levels.index(level)]

    def with_autoencoder(self, autoencoder):
        """A copy with another autoencoder; for another number of levels, with priors to match.

        The first prior is for the coarsest level, the last is repeated for all finer ones.
        """
        priors = self.priors
        if len(autoencoder.levels) != len(priors):
            priors = (priors[0], *priors[-1:] * (len(autoencoder.levels) - 1))
        return dataclasses.replace(self, autoencoder=autoencoder, priors=priors).check()

    def with_prior(self, level, prior):
        """A copy with another configuration for the prior of `level`."""
        position = self.levels.index(level)
        priors = (*self.priors[:position], prior, *self.priors[position + 1 :])
        return dataclasses.replace(self, priors=priors).check()

    def check(self):
        """Raise `InputError` when any part does not make a model; returns self."""
        self.autoencoder.check()
        if len(self.priors) != len(self.levels):
            raise InputError(
                f"{len(self.priors)} priors for the levels {', '.join(self.levels)}: one for each"
            )
        for level, prior, size in zip(
            self.levels, self.priors, self.autoencoder.latent_sizes, strict=True
        ):
            prior.check()
            if level != self.levels[0] and size % 4:
                raise InputError(
                    f"the conditioning stack of {level} halves its {size}x{size} map twice: "
                    "latent_sizes of finer levels must be multiples of 4"
                )
        return self

    def as_dict(self):
        """Plain dictionaries and lists, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """The inverse of `as_dict`. Raises `InputError` for unknown or ill-typed fields."""
        autoencoder = from_values(AutoencoderConfig, values["autoencoder"])
        priors = tuple(from_values(PriorConfig, p) for p in values["priors"])
        name = _parse("name", values["name"], str)
        conditional = _parse("conditional", values["conditional"], bool)
        return cls(name, autoencoder, priors, conditional).check()


def replace(config, settings):
    """A copy of a dataclass `config` with `settings` {field: value or text} changed.

    Text is read as the field's type: "3", "1e-4", "true", "8,16". Raises `InputError` naming the
    field, and the nearest one for a name that does not exist.
    """
    types = typing.get_type_hints(type(config))
    changes = {}
    for name, value in settings.items():
        if name not in types:
            raise InputError(
                f"there is no field {name!r} in {type(config).__name__}"
                f"{nearest(name, types)}; fields: {', '.join(types)}"
            )
        changes[name] = _parse(name, value, types[name])
    return dataclasses.replace(config, **changes).check()


def nearest(name, names):
    """ ", did you mean 'dropout'?", or nothing, for a name that is not among `names`."""
    close = difflib.get_close_matches(name, list(names), 1)
    return f", did you mean {close[0]!r}?" if close else ""


def from_values(cls, values):
    """A dataclass `cls` from {field: value}, as `as_dict` or JSON gives it.

    Raises `InputError` for unknown or ill-typed fields.
    """
    return replace(cls(), values)


def _parse(name, value, kind):
    words, read = _KINDS[kind]
    try:
        return read(value)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise InputError(f"{name}={shown(value)} cannot be read: {name} is {words}") from None


def _whole_number(value):
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    return int(value) if isinstance(value, str) else operator.index(value)


def _number(value):
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    return float(value)


def _whole_numbers(value):
    if isinstance(value, str):  # "8,16", or as `vqv2 config show` prints it: "[8, 16]"
        value = value.removeprefix("[").removesuffix("]").split(",")
    return tuple(map(_whole_number, value))


def _truth(value):
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return words[str(value).lower()]


def _text(value):
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


# For each type of a field: what to call it, and how a value or text is read as one.
_KINDS = {
    int: ("a whole number", _whole_number),
    float: ("a number", _number),
    bool: ("true or false", _truth),
    str: ("text", _text),
    tuple[int, ...]: ("whole numbers with commas between, coarse to fine", _whole_numbers),
}


def _check_parts(config):
    if config.batch % config.accumulate:
        raise InputError(
            f"accumulate {config.accumulate} must divide batch {config.batch}: the parts of a "
            "batch are equally large"
        )
