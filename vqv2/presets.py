"""The configurations that have names: the paper's (Tables 1, 2 and 3), and small ones."""

from vqv2.config import AutoencoderConfig, Config, PriorConfig, nearest
from vqv2.errors import InputError

_IMAGENET_TOP = PriorConfig()
_IMAGENET_BOTTOM = PriorConfig(
    residual_units=1024,
    attention_layers=0,
    output_stack_layers=0,
    conditioning_blocks=20,
    batch=512,
    steps=754000,
)

_FFHQ_TOP = PriorConfig(dropout=0.5, output_stack_layers=0, steps=237000, learning_rate_scale=0.324)
_FFHQ_MIDDLE = PriorConfig(
    residual_units=1024,
    attention_layers=1,
    attention_every=5,  # section A.2: `block_kinds` in vqv2/models/prior.py says why
    dropout=0.3,
    output_stack_layers=0,
    conditioning_blocks=8,
    batch=512,
    steps=57400,
    learning_rate_scale=0.324,
)
_FFHQ_BOTTOM = PriorConfig(
    residual_units=1024,
    layers=10,
    attention_layers=0,
    dropout=0.25,
    output_stack_layers=0,
    conditioning_blocks=8,
    batch=256,
    steps=270000,
)

PRESETS = {
    # Tables 1 and 3, columns "ImageNet".
    "imagenet256": Config("imagenet256", AutoencoderConfig(), (_IMAGENET_TOP, _IMAGENET_BOTTOM)),
    # Tables 2 and 3, columns "FFHQ": faces without classes.
    "ffhq1024": Config(
        "ffhq1024",
        AutoencoderConfig(
            image_size=1024, latent_sizes=(32, 64, 128), steps=304741, augmentation="ffhq"
        ),
        (_FFHQ_TOP, _FFHQ_MIDDLE, _FFHQ_BOTTOM),
        conditional=False,
    ),
    # The standing benchmark (docs/results.md), minutes on an idle processor core; not in the
    # paper. The 28x28 images come with a border, as 32x32, for sizes that can be halved; two levels
    # of 4x4 and 8x8 codes are enough for them. All shoes point left, so nothing is flipped. In
    # float32 everywhere, as the demo, so that figures of different machines can be compared.
    "fashion-mnist": Config(
        "fashion-mnist",
        AutoencoderConfig(
            image_size=32,
            channels=1,
            latent_sizes=(4, 8),
            hidden_units=32,
            residual_units=16,
            codebook_size=128,
            codebook_dimension=32,
            level_dropout=0.15,
            restart_after=50,
            batch=8,
            steps=6000,
            learning_rate=1e-3,
            decay_learning_rate=True,
            polyak_decay=0.99,
            precision="float32",
            augmentation="none",
        ),
        (
            PriorConfig(
                hidden_units=64,
                residual_units=128,
                layers=4,
                attention_layers=1,
                attention_heads=4,
                filter_size=3,
                output_stack_layers=2,
                dropout=0.05,
                batch=32,
                steps=5000,
                warmup_steps=100,
                polyak_decay=0.99,
                precision="float32",
            ),
            PriorConfig(
                hidden_units=64,
                residual_units=128,
                layers=6,
                attention_layers=1,
                attention_heads=4,
                filter_size=3,
                output_stack_layers=0,
                conditioning_blocks=2,
                conditioning_units=64,
                dropout=0.05,
                batch=32,
                steps=5000,
                warmup_steps=100,
                polyak_decay=0.99,
                precision="float32",
            ),
        ),
    ),
    # Larger than the demo, for emoji of several sets: hours of a processor core; not in the paper.
    "emoji": Config(
        "emoji",
        AutoencoderConfig(
            image_size=64,
            latent_sizes=(8, 16),
            hidden_units=96,
            residual_units=48,
            codebook_size=512,
            codebook_dimension=32,
            level_dropout=0.1,
            batch=8,
            steps=20000,
            learning_rate=8e-4,
            decay_learning_rate=True,
            polyak_decay=0.999,
            precision="float32",
            augmentation="imagenet",
        ),
        (
            PriorConfig(
                hidden_units=128,
                residual_units=256,
                layers=8,
                attention_layers=2,
                attention_heads=4,
                filter_size=3,
                output_stack_layers=2,
                dropout=0.2,
                batch=16,
                steps=20000,
                warmup_steps=100,
                polyak_decay=0.998,
                precision="float32",
            ),
            PriorConfig(
                hidden_units=96,
                residual_units=192,
                layers=6,
                attention_layers=0,
                attention_heads=4,
                filter_size=3,
                output_stack_layers=0,
                conditioning_blocks=4,
                conditioning_units=96,
                dropout=0.1,
                batch=16,
                steps=12000,
                warmup_steps=100,
                polyak_decay=0.998,
                precision="float32",
            ),
        ),
    ),
    # Minutes on two processor cores; not in the paper.
    "demo": Config(
        "demo",
        AutoencoderConfig(
            image_size=64,
            latent_sizes=(8, 16),
            hidden_units=64,
            residual_units=32,
            codebook_size=128,
            codebook_dimension=32,
            level_dropout=0.15,
            restart_after=50,
            batch=4,
            steps=4000,
            learning_rate=1e-3,
            decay_learning_rate=True,
            polyak_decay=0.99,
            precision="float32",
            augmentation="imagenet",
        ),
        (
            PriorConfig(
                hidden_units=64,
                residual_units=128,
                layers=6,
                attention_layers=2,
                attention_heads=4,
                output_stack_layers=2,
                batch=32,
                steps=1200,
                warmup_steps=100,
                polyak_decay=0.99,
                precision="float32",
            ),
            PriorConfig(
                hidden_units=64,
                residual_units=96,
                layers=4,
                attention_layers=0,
                attention_heads=4,
                filter_size=3,
                output_stack_layers=0,
                conditioning_blocks=2,
                conditioning_units=64,
                batch=32,
                steps=700,
                warmup_steps=100,
                polyak_decay=0.99,
                precision="float32",
            ),
        ),
    ),
}


def preset(name):
    """The preset `name`. Raises `InputError` listing what there is."""
    if name not in PRESETS:
        raise InputError(
            f"there is no preset {name!r}{nearest(name, PRESETS)}; there are {', '.join(PRESETS)}"
        )
    return PRESETS[name].check()
