"""Stage 1: the autoencoder (Algorithm 1), and extracting its codes (Algorithm 2, lines 1-7)."""

import contextlib
import functools

import numpy as np

from backends import to_host
from vqv2.autodiff import no_grad
from vqv2.data.augment import NONE
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.codes import write_codes
from vqv2.data.prefetch import prefetched
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.models.quantizer import usage
from vqv2.optim import Adam, autoencoder_learning_rate
from vqv2.progress import progress_bar
from vqv2.training import accumulation
from vqv2.training.order import batch_generator, batch_indices, copy_generator


class AutoencoderTask:
    """Training the autoencoder on an `ImageSource`, validated on another."""

    stage = "autoencoder"

    def __init__(self, model, images, held_out, seed):
        self.model = model
        self.config = model.config
        self.images = images
        self.held_out = held_out
        self.seed = seed
        parameters = model.parameters()
        codebooks = {name for name in parameters if name.endswith(".codebook")}
        self.optimizer = Adam(parameters, self.config.polyak_decay, not_averaged=codebooks)
        self.metadata = {
            "data": images.name,
            "images": len(images),
            "class_names": list(images.class_names),
        }

    def batch(self, step):
        """Images (N, H, W, C) in [0, 1] of a step, augmented."""
        indices = batch_indices(self.seed, step, self.config.batch, len(self.images))
        augmentation = AUGMENTATIONS[self.config.augmentation]
        return self.images.batch(indices, augmentation, batch_generator(self.seed, step))

    def loss(self, images, rng):
        """(loss of equation 2, function: its parts, perplexity and used codes per level)."""
        loss, parts, codes = self.model.loss(images, rng)

        def metrics():
            return {**{name: part.item() for name, part in parts.items()}, **self._usage(codes)}

        return loss, metrics

    def split(self, images, count):
        """The images of each part of a batch."""
        return [images[part] for part in accumulation.slices(len(images), count)]

    @contextlib.contextmanager
    def whole_batch(self, parts, rng):
        """Around the parts of a step: the codebooks look at all of them."""
        with self.model.whole_batch(parts, rng) as self._codes:
            yield

    def combine(self, metrics):
        """Means of the parts' metrics; perplexity and used codes are the whole batch's."""
        return {**accumulation.mean(metrics), **self._usage(self._codes)}

    def learning_rate(self, step):
        """Table 3's, or its cosine."""
        return autoencoder_learning_rate(step, self.config)

    def validate(self, limit=1024):
        """Loss parts on up to `limit` held-out images, means over images."""
        with self.optimizer.averaged():
            batch = self.config.batch // self.config.accumulate
            return evaluate_loss(self.model, self.held_out, batch, limit)

    def _usage(self, codes):
        metrics = {}
        for level, level_codes in zip(self.config.levels, codes, strict=True):
            counts = np.bincount(to_host(level_codes).ravel(), minlength=self.config.codebook_size)
            perplexity, used = usage(counts)
            metrics[f"perplexity_{level}"] = perplexity
            metrics[f"used_{level}"] = used
        return metrics


def evaluate_loss(model, images, batch, limit):
    """{"loss", "reconstruction" (mean squared error of pixels in [0, 1]), "commitment": number}."""
    totals, chosen = {}, spread_indices(len(images), limit)
    for start in range(0, len(chosen), batch):
        indices = chosen[start : start + batch]
        with no_grad():
            loss, parts, _ = model.loss(images.batch(indices))
        for name, part in {"loss": loss, **parts}.items():
            totals[name] = totals.get(name, 0.0) + part.item() * len(indices)
    return {name: total / len(chosen) for name, total in totals.items()}


def encode_dataset(model, identity, sources, folder, batch=32, copies=1, seed=0, progress=True):
    """Write the codes of {split: ImageSource} to a store in `folder`.

    `model` has the averaged weights, `identity` names it in the manifest. The training images are
    encoded `copies` times: once as they are, then with the augmentation that the autoencoder was
    trained with, drawn from `seed`. A prior for few images over-fits less on these codes.
    Raises `InputError` when it cannot be written, and for copies without an augmentation.
    """
    sources = {split: source for split, source in sources.items() if len(source)}
    config, first = model.config, next(iter(sources.values()))
    check_copies(copies, config.augmentation)
    repeats = {split: copies if split == "train" else 1 for split in sources}
    counts = {split: repeats[split] * len(source) for split, source in sources.items()}
    total = sum(counts.values())
    with (
        write_codes(
            folder,
            config.levels,
            config.latent_sizes,
            counts,
            first.class_names,
            identity,
            first.name,
        ) as arrays,
        progress_bar(total, "codes", "image", progress) as bar,
    ):
        for split, source in sources.items():
            if source.labels is not None:
                arrays[split]["labels"][:] = np.tile(source.labels, repeats[split])
            parts = _parts(len(source), batch, repeats[split])
            read = functools.partial(_read, source, AUGMENTATIONS[config.augmentation], seed)
            with contextlib.closing(prefetched(read, parts)) as batches:
                for (copy, indices), images in zip(parts, batches, strict=True):
                    start = copy * len(source) + indices[0]
                    for level, codes in model.encode(images).items():
                        arrays[split][level][start : start + len(images)] = codes
                    bar.update(len(images))


def check_copies(copies, augmentation):
    """Raise `InputError` unless so many copies of the training images' codes make sense."""
    if copies < 1:
        raise InputError(f"copies {copies} must be at least 1")
    if copies > 1 and augmentation == "none":
        raise InputError(
            f"{copies} copies would all be the same: this autoencoder was trained without "
            "augmentation; leave out --copies, or train one with --set augmentation=imagenet"
        )


def _parts(count, batch, copies):
    """[(copy, indices of a batch)]: all images for copy 0, then for copy 1, ..."""
    starts = range(0, count, batch)
    return [(c, np.arange(s, min(s + batch, count))) for c in range(copies) for s in starts]


def _read(source, augmentation, seed, part):
    """The images of a part: as they are for copy 0, otherwise augmented."""
    copy, indices = part
    rng = copy_generator(seed, copy, int(indices[0]))
    return source.batch(indices, augmentation if copy else NONE, rng)
