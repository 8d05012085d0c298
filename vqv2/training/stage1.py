"""Stage 1: the autoencoder (Algorithm 1), and extracting its codes (Algorithm 2, lines 1-7)."""

import contextlib

import numpy as np

from backends import to_host
from backends.communication import Single
from vqv2.autodiff import no_grad
from vqv2.data import augment
from vqv2.data.codes import write_codes
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.models.quantizer import usage
from vqv2.optim import Adam, autoencoder_learning_rate
from vqv2.progress import progress_bar
from vqv2.training import parallel
from vqv2.training.order import batch_generator, batch_indices, copy_generator

_AUGMENTATIONS = {
    "none": augment.NONE,
    "imagenet": augment.IMAGENET,
    "ffhq": augment.FFHQ,
}


class AutoencoderTask:
    """Training the autoencoder on an `ImageSource`, validated on another.

    With a `communicator` this process trains on its share of every batch.
    """

    stage = "autoencoder"

    def __init__(self, model, images, held_out, seed, communicator=None):
        self.communicator = communicator or Single()
        self.model = model.distribute(self.communicator)
        self.config = model.config
        self.images = images
        self.held_out = held_out
        self.seed = seed
        self.share = parallel.share(self.config.batch, self.communicator)
        parameters = model.parameters()
        codebooks = {name for name in parameters if name.endswith(".codebook")}
        self.optimizer = Adam(parameters, self.config.polyak_decay, not_averaged=codebooks)
        self.metadata = {
            "data": images.name,
            "images": len(images),
            "class_names": list(images.class_names),
        }

    def batch(self, step):
        """This process's share of a step's images, (n, H, W, C) in [0, 1], augmented."""
        indices = batch_indices(self.seed, step, self.config.batch, len(self.images))
        augmentation = _AUGMENTATIONS[self.config.augmentation]
        rng = batch_generator(self.seed, step)
        return self.images.batch(indices, augmentation, rng, self.share)

    def loss(self, images, rng):
        """(loss of equation 2, function: its parts, perplexity and used codes per level)."""
        loss, parts, codes = self.model.loss(images, rng)

        def metrics():
            numbers = {name: part.item() for name, part in parts.items()}
            return {**parallel.mean(numbers, self.communicator), **self._usage(codes)}

        return loss, metrics

    def learning_rate(self, step):
        """Table 3's, or its cosine."""
        return autoencoder_learning_rate(step, self.config)

    def validate(self, limit=1024):
        """Loss parts on up to `limit` held-out images, means over images."""
        with self.optimizer.averaged():
            return evaluate_loss(
                self.model, self.held_out, self.config.batch, limit, self.communicator
            )

    def _usage(self, codes):
        metrics = {}
        for level, level_codes in zip(self.config.levels, codes, strict=True):
            counts = np.bincount(to_host(level_codes).ravel(), minlength=self.config.codebook_size)
            perplexity, used = usage(self.communicator.all_reduce(counts))
            metrics[f"perplexity_{level}"] = perplexity
            metrics[f"used_{level}"] = used
        return metrics


def evaluate_loss(model, images, batch, limit, communicator=None):
    """{"loss", "reconstruction" (mean squared error of pixels in [0, 1]), "commitment": number}.

    The processes of a `communicator` share the work, and all get the result.
    """
    communicator = communicator or Single()
    totals, chosen = {}, spread_indices(len(images), limit)
    own, others = parallel.divide(chosen, communicator)
    batch = max(1, batch // communicator.size)
    for start in range(0, len(own), batch):
        indices = own[start : start + batch]
        with no_grad():
            loss, parts, _ = model.loss(images.batch(indices))
        for name, part in {"loss": loss, **parts}.items():
            totals[name] = totals.get(name, 0.0) + part.item() * len(indices)
    sums = others.all_reduce(np.array(list(totals.values()), np.float64))
    return {name: float(total) / len(chosen) for name, total in zip(totals, sums, strict=True)}


def encode_dataset(
    model,
    identity,
    sources,
    folder,
    batch=32,
    copies=1,
    seed=0,
    progress=True,
    communicator=None,
):
    """Write the codes of {split: ImageSource} to a store in `folder`.

    `model` has the averaged weights, `identity` names it in the manifest. The training images are
    encoded `copies` times: once as they are, then with the augmentation that the autoencoder was
    trained with, drawn from `seed`. A prior for few images over-fits less on these codes.
    The processes of a `communicator` encode `batch` images each at a time; the first one writes.
    Raises `InputError` when it cannot be written, and for copies without an augmentation.
    """
    communicator = communicator or Single()
    writes = communicator.rank == 0
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
        )
        if writes
        else contextlib.nullcontext() as arrays,
        progress_bar(total, "codes", "image", progress and writes) as bar,
    ):
        for split, source in sources.items():
            if source.labels is not None and writes:
                arrays[split]["labels"][:] = np.tile(source.labels, repeats[split])
            places = _places(len(source), batch, repeats[split])
            for turn in range(0, len(places), communicator.size):
                together = places[turn : turn + communicator.size]  # a batch for each process
                encoded = _encode_together(model, source, together, batch, seed, communicator)
                for (copy, start, stop), codes in zip(together, encoded, strict=True):
                    place = slice(copy * len(source) + start, copy * len(source) + stop)
                    for level, level_codes in codes.items() if writes else ():
                        arrays[split][level][place] = level_codes
                    bar.update(stop - start)
    communicator.barrier()  # the store is there before anyone opens it


def check_copies(copies, augmentation):
    """Raise `InputError` unless so many copies of the training images' codes make sense."""
    if copies < 1:
        raise InputError(f"copies {copies} must be at least 1")
    if copies > 1 and augmentation == "none":
        raise InputError(
            f"{copies} copies would all be the same: this autoencoder was trained without "
            "augmentation; leave out --copies, or train one with --set augmentation=imagenet"
        )


def _places(count, batch, copies):
    """[(copy, start, stop)] of the batches of `count` images and then of their copies."""
    starts = range(0, count, batch)
    return [(c, start, min(start + batch, count)) for c in range(copies) for start in starts]


def _encode_together(model, source, places, batch, seed, communicator):
    """[{level: codes}] of the batches at `places`, of which each process encodes one at most."""
    codes = {}
    if communicator.rank < len(places):
        codes = model.encode(_images(source, *places[communicator.rank], model.config, seed))
    if communicator.size == 1:
        return [codes]
    encoded = [{} for _ in places]
    for level, size in zip(model.config.levels, model.config.latent_sizes, strict=True):
        padded = np.zeros((batch, size, size), np.uint16)
        if codes:
            padded[: len(codes[level])] = codes[level]
        gathered = communicator.all_gather(padded)[: len(places)]
        for found, (_, start, stop), part in zip(encoded, places, gathered, strict=True):
            found[level] = part[: stop - start]
    return encoded


def _images(source, copy, start, stop, config, seed):
    """Images start ... stop - 1 as they are, or of an augmented copy."""
    augmentation = _AUGMENTATIONS[config.augmentation] if copy else augment.NONE
    return source.batch(np.arange(start, stop), augmentation, copy_generator(seed, copy, start))
