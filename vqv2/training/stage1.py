"""Stage 1: the autoencoder (Algorithm 1), and extracting its codes (Algorithm 2, lines 1-7)."""

import numpy as np

from backends import to_host
from vqv2.autodiff import no_grad
from vqv2.data import augment
from vqv2.data.codes import write_codes
from vqv2.data.split import spread_indices
from vqv2.models.quantizer import usage
from vqv2.optim import Adam, autoencoder_learning_rate
from vqv2.progress import progress_bar
from vqv2.training.order import batch_generator, batch_indices

AUGMENTATIONS = {
    "none": augment.NONE,
    "imagenet": augment.IMAGENET,
    "ffhq": augment.FFHQ,
}


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

    def learning_rate(self, step):
        """Table 3's, or its cosine."""
        return autoencoder_learning_rate(step, self.config)

    def validate(self, limit=1024):
        """Loss parts on up to `limit` held-out images, means over images."""
        with self.optimizer.averaged():
            return evaluate_loss(self.model, self.held_out, self.config.batch, limit)

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


def encode_dataset(model, identity, sources, folder, batch, progress=True):
    """Write the codes of {split: ImageSource} to a store in `folder`, without augmentation.

    `model` has the averaged weights, `identity` names it in the manifest. Raises `InputError`.
    """
    sources = {split: source for split, source in sources.items() if len(source)}
    config, first = model.config, next(iter(sources.values()))
    counts = {split: len(source) for split, source in sources.items()}
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
                arrays[split]["labels"][:] = source.labels
            for start in range(0, len(source), batch):
                stop = min(start + batch, len(source))
                codes = model.encode(source.batch(np.arange(start, stop)))
                for level, level_codes in codes.items():
                    arrays[split][level][start:stop] = level_codes
                bar.update(stop - start)
