"""Stage 1: the autoencoder (Algorithm 1)."""

import contextlib

import numpy as np

from backends import to_host
from backends.process.communication import Single
from vqv2.agreement import images_facts
from vqv2.autodiff import no_grad
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.split import spread_indices
from vqv2.models.quantizer import usage
from vqv2.optim import Adam, autoencoder_learning_rate
from vqv2.run.rules import described
from vqv2.training import parallel
from vqv2.training.draws import batch_generator, batch_indices
from vqv2.training.task import VALIDATED, Task


class AutoencoderTask(Task):
    """Training the autoencoder on an `ImageSource`, validated on another.

    With a `communicator` this process trains on its share of every batch. Raises `InputError` for
    images that cannot be augmented as the configuration says.
    """

    stage = "autoencoder"

    def __init__(self, model, images, held_out, seed, communicator=None):
        super().__init__(model, seed, communicator)
        self.images = images
        self.held_out = held_out
        self.augmentation = AUGMENTATIONS[self.config.augmentation]
        images.check_augmentation(self.augmentation)
        parameters = model.parameters()
        codebooks = {name for name in parameters if name.endswith(".codebook")}
        self.optimizer = Adam(
            parameters,
            self.config.polyak_decay,
            not_averaged=codebooks,
            precision=self.config.precision,
        )
        self.metadata = described(images)

    def facts(self):
        """The images of both splits, whatever they are called."""
        return images_facts({"train": self.images, "held_out": self.held_out})

    def batch(self, step):
        """This process's share of a step's images, (n, H, W, C) in [0, 1], augmented."""
        indices = batch_indices(self.seed, step, self.config.batch, len(self.images))
        rng = batch_generator(self.seed, step)
        return self.images.batch(indices, self.augmentation, rng, self.share)

    def loss(self, images, rng):
        """(loss of equation 2, function: its parts, perplexity and used codes per level)."""
        loss, parts, codes = self.model.loss(images, rng)

        def metrics():
            numbers = {name: part.item() for name, part in parts.items()}
            return {**parallel.mean(numbers, self.communicator), **self._usage(codes)}

        return loss, metrics

    @contextlib.contextmanager
    def whole_batch(self, parts, rng):
        """Around the parts of a step: the codebooks look at all of them."""
        with self.model.whole_batch(parts, rng) as self._codes:
            yield

    def combine(self, metrics):
        """Means of the parts' metrics; perplexity and used codes are the whole batch's."""
        return {**super().combine(metrics), **self._usage(self._codes)}

    def learning_rate(self, step):
        """Table 3's, or its cosine."""
        return autoencoder_learning_rate(step, self.config)

    def validate(self):
        """Loss parts on up to `VALIDATED` held-out images, means over images."""
        with self.optimizer.averaged():
            batch = self.config.batch // self.config.accumulate
            return evaluate_loss(self.model, self.held_out, batch, self.communicator)

    def _usage(self, codes):
        metrics = {}
        for level, level_codes in zip(self.config.levels, codes, strict=True):
            counts = np.bincount(to_host(level_codes).ravel(), minlength=self.config.codebook_size)
            perplexity, used = usage(self.communicator.all_reduce(counts))
            metrics[f"perplexity_{level}"] = perplexity
            metrics[f"used_{level}"] = used
        return metrics


def evaluate_loss(model, images, batch, communicator=None):
    """{"loss", "reconstruction" (mean squared error of pixels in [0, 1]), "commitment": number}.

    The processes of a `communicator` share the work, and all get the result.
    """
    communicator = communicator or Single()
    totals, chosen = {}, spread_indices(len(images), VALIDATED)
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
