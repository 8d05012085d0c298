"""The autoregressive prior of one level (section A.2, Tables 1 and 2)."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

import vqv2.functional as F
from backends import Array, to_device
from vqv2 import nn
from vqv2.autodiff import Tensor
from vqv2.config import PriorConfig
from vqv2.errors import InputError


class Prior(nn.Module):
    """p(codes | class, coarser codes), one code after the other in raster order.

    embedding -> causal convolution that sees strictly earlier positions -> gated residual layers
    with an attention block after every few of them (`block_kinds`) -> output stack ->
    logits over the codebook. A prior with coarser levels runs their codes, embedded and upsampled
    to its grid, through the conditioning stack, which reaches every gated layer.

    config          a `PriorConfig`
    codebook_size   K, the number of codes of this level
    size            rows and columns of this level's map
    coarser         [(codebook_size, size), ...] of the levels it is conditioned on
    classes         number of classes, 0 for an unconditional prior
    """

    def __init__(
        self,
        config: PriorConfig,
        codebook_size: int,
        size: int,
        rng: Generator | None,
        coarser: Sequence[tuple[int, int]] = (),
        classes: int = 0,
    ) -> None:
        self.config = config
        self.codebook_size = codebook_size
        self.size = size
        self.coarser = tuple(coarser)
        self.classes = classes
        hidden = config.hidden_units
        self.conditioning = Conditioning(config, size, coarser, rng) if coarser else None
        self.embedding = nn.Embedding(codebook_size, hidden, rng)
        self.first = nn.CausalConv2d(hidden, hidden, config.filter_size, rng, centre=False)
        self.blocks = [
            _attention_block(config, rng, classes, bool(coarser))
            if kind == "attention"
            else _gated_layer(config, rng, classes, bool(coarser))
            for kind in block_kinds(config)
        ]
        self.output = nn.OutputStack(
            hidden,
            config.residual_units,
            config.output_stack_layers,
            config.dropout,
            codebook_size,
            rng,
            config.conditioning_units if config.condition_output_stack and coarser else 0,
            classes if config.condition_output_stack else 0,
        )
        if config.recompute:
            for block in self._recomputable():
                block.recompute()

    def _recomputable(self):
        """The layers whose activations make up nearly all of a step's memory."""
        conditioning = self.conditioning.stack.blocks if self.conditioning else []
        return [*self.blocks, *self.output.blocks, *conditioning]

    def forward(
        self,
        codes: Array,
        label: Array | None = None,
        coarser: Sequence[Array] = (),
        rng: Generator | None = None,
    ) -> Tensor:
        """Logits (N, H, W, K) of codes (N, H, W), every position given all the earlier ones.

        label: (N,) integers, for a class-conditional prior; coarser: codes per coarser level.
        With `rng` it trains: dropout and batch statistics. Raises `InputError` for wrong inputs.
        """
        codes, label = self.check(codes, label, coarser)
        return self._logits(codes, label, coarser, rng)

    def _logits(self, codes, label, coarser, rng):
        """Logits of codes and labels that `check` has placed on the device."""
        condition = self.condition(coarser, rng)
        condition = () if condition is None else (condition,)
        embedded = self.embedding(codes)
        x = self.first(embedded)
        for block in (*self.blocks, *self.output.blocks):
            beside = (embedded,) if isinstance(block, nn.AttentionBlock) else ()
            x = block(x, *beside, *condition, label=label, rng=rng)
        return self.output(x)

    def condition(self, coarser: Sequence[Array], rng: Generator | None = None) -> Tensor | None:
        """What the coarser levels' codes say about every position, (N, H, W, C), or None.

        Raises `InputError` for another number of levels, and for codes that do not fit.
        """
        if len(coarser) != len(self.coarser):
            raise InputError(
                f"this prior is conditioned on {len(self.coarser)} coarser levels, "
                f"{len(coarser)} were given"
            )
        for codes, (count, size) in zip(coarser, self.coarser, strict=True):
            _check_codes(codes, count, size, "coarser codes")
        return self.conditioning(coarser, rng) if self.conditioning else None

    def loss(
        self,
        codes: Array,
        label: Array | None = None,
        coarser: Sequence[Array] = (),
        rng: Generator | None = None,
    ) -> Tensor:
        """Mean cross-entropy in nats per code, a tensor."""
        codes, label = self.check(codes, label, coarser)
        return F.mean(F.cross_entropy(self._logits(codes, label, coarser, rng), codes))

    def check(
        self, codes: Array, label: Array | None, coarser: Sequence[Array] = ()
    ) -> tuple[Array, Array | None]:
        """(codes (N, H, W), label (N,) or None) on the device as int64.

        Raises `InputError` for codes or classes that do not fit, without classes where they are
        needed, with classes where there are none, and for coarser codes of other than N maps.
        """
        codes = codes if hasattr(codes, "dtype") else np.asarray(codes)
        _check_codes(codes, self.codebook_size, self.size, "codes")
        codes = to_device(codes, np.int64)
        if any(len(maps) != len(codes) for maps in coarser):
            counts = ", ".join(str(len(maps)) for maps in coarser)
            raise InputError(f"there are {len(codes)} maps of codes, but of coarser codes {counts}")
        if not self.classes and label is not None:
            raise InputError("this prior has no classes: leave the label out")
        if not self.classes:
            return codes, None
        if label is None:
            raise InputError(f"this prior needs a class (0 to {self.classes - 1}) for every map")
        label = np.asarray(label)
        if label.shape != (len(codes),) or (label.size and not _in_range(label, self.classes)):
            raise InputError(
                f"labels must be {len(codes)} whole numbers from 0 to {self.classes - 1}"
            )
        return codes, to_device(label, np.int64)

    def parameter_table(self) -> list[tuple[str, int]]:
        """[(part, number of parameters)] in order, for people."""
        parts: dict[str, list[nn.Module]] = {
            "embedding": [self.embedding],
            "first convolution": [self.first],
            "gated layers": [b for b in self.blocks if isinstance(b, nn.GatedResidual)],
            "attention": [b for b in self.blocks if isinstance(b, nn.AttentionBlock)],
            "output stack": [self.output],
            "conditioning stack": [self.conditioning] if self.conditioning else [],
        }
        counts = [(name, sum(m.parameter_count() for m in ms)) for name, ms in parts.items()]
        return [(name, count) for name, count in counts if count]


class Conditioning(nn.Module):
    """Codes of all coarser levels, embedded, upsampled to the grid, joined, through the stack."""

    def __init__(
        self,
        config: PriorConfig,
        size: int,
        coarser: Sequence[tuple[int, int]],
        rng: Generator | None,
    ) -> None:
        self.embeddings = [nn.Embedding(k, config.hidden_units, rng) for k, _ in coarser]
        self.factors = [size // coarse for _, coarse in coarser]
        self.stack = nn.ConditioningStack(
            len(coarser) * config.hidden_units,
            config.conditioning_units,
            config.conditioning_blocks,
            rng,
        )

    def forward(self, coarser: Sequence[Array], rng: Generator | None = None) -> Tensor:
        """[(N, h, w) integers, coarse to fine] -> (N, H, W, conditioning_units)."""
        maps = [
            F.upsample(embedding(to_device(codes, np.int64)), factor=factor)
            for embedding, codes, factor in zip(self.embeddings, coarser, self.factors, strict=True)
        ]
        return self.stack(F.concatenate(*maps), rng)


def block_kinds(config: PriorConfig) -> list[str]:
    """["gated", ..., "attention", ...]: attention after every five layers (section A.2).

    That is layers / attention_layers in the top priors, and the rule unless `attention_every` says
    otherwise. Table 2's middle prior has one attention layer for twenty: not stated is where. Here
    it is after the fifth, too, where that sentence puts the first: what it finds is then at the
    disposal of fifteen layers, after the twentieth it would be at that of the output alone.
    """
    attention = config.attention_layers
    every = config.attention_every or (config.layers // attention if attention else 0)
    kinds, attentions = [], 0
    for layer in range(1, config.layers + 1):
        kinds.append("gated")
        if every and layer % every == 0 and attentions < config.attention_layers:
            kinds.append("attention")
            attentions += 1
    return kinds


def _gated_layer(config, rng, classes, conditioned):
    return nn.GatedResidual(
        config.hidden_units,
        config.residual_units,
        config.filter_size,
        config.dropout,
        rng,
        config.second_kernel,
        config.conditioning_units if conditioned else 0,
        classes,
    )


def _attention_block(config, rng, classes, conditioned):
    return nn.AttentionBlock(
        config.hidden_units,
        config.residual_units,
        config.attention_heads,
        config.dropout,
        rng,
        config.attention_dropout,
        config.conditioning_units if conditioned else 0,
        classes,
    )


def _check_codes(codes, count, size, name):
    if codes.dtype.kind not in "iu":
        raise InputError(f"{name} hold {codes.dtype}, but must be whole numbers")
    if codes.ndim != 3 or codes.shape[1:] != (size, size):
        raise InputError(f"{name} have shape {codes.shape}, expected (N, {size}, {size})")
    if codes.size and (int(codes.max()) >= count or int(codes.min()) < 0):
        raise InputError(
            f"{name} go from {int(codes.min())} to {int(codes.max())}, but there are only those "
            f"from 0 to {count - 1}"
        )


def _in_range(label, classes):
    return label.dtype.kind in "iu" and label.min() >= 0 and label.max() < classes
