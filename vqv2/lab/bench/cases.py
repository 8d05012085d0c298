"""The models that the training benchmarks train: the same configurations for us and for a peer.

Each case comes in three scales: for a processor, for a device ("device": the paper's own models,
at the batches that an 80 GB device holds on both sides), and tiny, to see that everything runs.
"""

import dataclasses

import numpy as np

import backends
from vqv2.config import AutoencoderConfig, PriorConfig, replace
from vqv2.errors import InputError
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.prior import Prior
from vqv2.optim import Adam
from vqv2.presets import preset

LEARNING_RATE = 2e-4  # Table 3; it does not matter to the time
POLYAK_DECAY = 0.9999  # Tables 1 to 3
SCALES = ("tiny", "host", "device")

_TABLE_1 = PriorConfig(hidden_units=128, residual_units=512)
_FINER = PriorConfig(
    hidden_units=128,
    residual_units=256,
    attention_layers=0,
    output_stack_layers=0,
    conditioning_blocks=4,
    conditioning_units=128,
)
_TINY_PRIOR = {
    "hidden_units": 16,
    "residual_units": 16,
    "layers": 2,
    "attention_heads": 2,
    "conditioning_units": 16,
}


@dataclasses.dataclass(frozen=True)
class TrainingCase:
    """A model and the shape of its batches.

    config   an `AutoencoderConfig` or a `PriorConfig`
    batch    images or maps in a batch
    size     rows and columns of a prior's map
    coarser  ((codebook size, map size), ...) that a prior is conditioned on
    """

    config: AutoencoderConfig | PriorConfig
    batch: int
    size: int = 0
    coarser: tuple = ()
    classes: int = 0
    codes: int = 512  # Table 3, codebook size

    def computed_once(self):
        """The same without activation recomputation, which computes twice what is needed once."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, recompute=False))


_HOST = {
    "autoencoder": TrainingCase(AutoencoderConfig(), 4),
    "prior": TrainingCase(dataclasses.replace(_TABLE_1, attention_layers=4), 4, 32),
    "conditioned prior": TrainingCase(_FINER, 1, 64, ((512, 32),)),
    "full-size prior": TrainingCase(PriorConfig(), 1, 32, classes=1000),
}
_IMAGENET = preset("imagenet256")
_DEVICE = {
    "autoencoder": TrainingCase(_IMAGENET.autoencoder, 128),
    "prior": TrainingCase(_IMAGENET.prior("top"), 64, 32, classes=1000),
    "conditioned prior": TrainingCase(
        _IMAGENET.prior("bottom"), 16, 64, ((512, 32),), classes=1000
    ),
}
_DEVICE["full-size prior"] = _DEVICE["prior"]
_TINY = {
    "autoencoder": TrainingCase(
        AutoencoderConfig(
            image_size=16, latent_sizes=(4, 8), hidden_units=8, residual_units=4, codebook_size=16
        ),
        2,
    ),
    "prior": TrainingCase(
        replace(_TABLE_1, {**_TINY_PRIOR, "attention_layers": 1, "output_stack_layers": 1}),
        2,
        8,
        codes=16,
    ),
    "conditioned prior": TrainingCase(
        replace(_FINER, {**_TINY_PRIOR, "conditioning_blocks": 2}), 2, 8, ((16, 4),), codes=16
    ),
}
_TINY["full-size prior"] = dataclasses.replace(_TINY["prior"], classes=4)
CASES = dict(zip(SCALES, (_TINY, _HOST, _DEVICE), strict=True))


def training_case(name, scale="host", batch=None, size=None, settings=None):
    """The case `name` in one of `SCALES`. The rest changes single fields.

    `settings` {field: value} go to the configuration; its precision is float32 unless they say
    otherwise. Raises `InputError` for unknown names.
    """
    cases = CASES[scale]
    if name not in cases:
        raise InputError(f"there is no training case {name!r}; there are {', '.join(cases)}")
    case = cases[name]
    return dataclasses.replace(
        case,
        config=replace(case.config, {"precision": "float32", **(settings or {})}),
        batch=batch or case.batch,
        size=size or case.size,
    )


def training_data(case, seed=0):
    """Random inputs: (images (N, S, S, 3) in [0, 1],) or (codes, labels or None, coarser)."""
    rng = np.random.default_rng(seed)
    if isinstance(case.config, AutoencoderConfig):
        size = case.config.image_size
        return (rng.random((case.batch, size, size, case.config.channels), dtype=np.float32),)
    codes = rng.integers(0, case.codes, (case.batch, case.size, case.size))
    label = rng.integers(0, case.classes, case.batch) if case.classes else None
    coarser = [rng.integers(0, count, (case.batch, size, size)) for count, size in case.coarser]
    return codes, label, coarser


def build_model(case, weights=None):
    """The `Autoencoder` or `Prior` of a case; `weights` draws them (default: `QuickNormal`)."""
    weights = weights or QuickNormal()
    if isinstance(case.config, AutoencoderConfig):
        return Autoencoder(case.config, weights)
    return Prior(case.config, case.codes, case.size, weights, case.coarser, case.classes)


def loss_of(model, data, rng):
    """The loss, a tensor, of either model on `cases.training_data`."""
    loss = model.loss(*data, rng=rng)
    return loss[0] if isinstance(loss, tuple) else loss


def training_step(model, data, precision):
    """A function that trains for one step in a precision and returns the loss, a tensor."""
    optimizer = Adam(model.parameters(), POLYAK_DECAY, precision=precision)
    rng = np.random.default_rng(0)

    def step():
        with backends.use(precision=precision):
            loss = loss_of(model, data, rng)
            optimizer.backward(loss)
            optimizer.step(LEARNING_RATE)
        return loss

    return step
