"""Stage 2: the priors over codes (Algorithm 2, lines 8 and 9)."""

import math

import numpy as np

from backends.process.communication import Single
from vqv2.autodiff import no_grad
from vqv2.data.split import spread_indices
from vqv2.optim import Adam, prior_learning_rate
from vqv2.run.rules import AUTOENCODER, CLASSES, CODES, LEARNED
from vqv2.training import parallel
from vqv2.training.draws import batch_indices
from vqv2.training.task import VALIDATED, Task

_AT_ONCE = 64  # maps whose loss is computed together


class PriorTask(Task):
    """Training the prior of `level` on a `CodeStore`; every level trains independently.

    With a `communicator` this process trains on its share of every batch.
    """

    def __init__(self, model, level, store, seed, communicator=None):
        super().__init__(model, seed, communicator)
        self.stage = f"prior-{level}"
        self.level = level
        self.store = store
        decay, precision = self.config.polyak_decay, self.config.precision
        self.optimizer = Adam(model.parameters(), decay, precision=precision)
        self.metadata = {
            AUTOENCODER: store.identity,
            CODES: store.checksum,
            CLASSES: list(store.class_names) if model.classes else [],
            LEARNED: np.unique(store.labels("train")).tolist() if model.classes else [],
        }

    def batch(self, step):
        """(codes, labels or None, coarser codes) of this process's share of a step."""
        count = self.store.counts["train"]
        indices = batch_indices(self.seed, step, self.config.batch, count)[self.share]
        return read_codes(self.store, "train", self.level, indices, bool(self.model.classes))

    def loss(self, data, rng):
        """(cross-entropy in nats per code, function: the same in bits)."""
        loss = self.model.loss(*data, rng=rng)
        return loss, lambda: parallel.mean(
            {"bits_per_code": loss.item() / math.log(2)}, self.communicator
        )

    def learning_rate(self, step):
        """Section A.2's formula."""
        return prior_learning_rate(step, self.config)

    def validate(self):
        """Nats and bits per code of up to `VALIDATED` held-out maps, with averaged weights."""
        with self.optimizer.averaged():
            subject = self.model, self.store, self.level, "held_out"
            nats = evaluate_prior(*subject, communicator=self.communicator)
        return {"loss": nats, "bits_per_code": nats / math.log(2)}


def read_codes(store, split, level, indices, conditional):
    """(codes (N, s, s), labels (N,) or None, [coarser codes, coarse to fine]) of some images.

    Raises `InputError` when they cannot be read.
    """
    coarser = store.levels[: store.levels.index(level)]
    return (
        store.codes(split, level)[indices],
        np.asarray(store.labels(split)[indices]) if conditional else None,
        [store.codes(split, name)[indices] for name in coarser],
    )


def evaluate_prior(model, store, level, split, limit=VALIDATED, communicator=None):
    """Mean nats per code over `limit` maps spread over a split; NaN when it has none.

    The processes of a `communicator` share the work, and all get the result.
    """
    chosen, total = spread_indices(store.counts.get(split, 0), limit), 0.0
    own, others = parallel.divide(chosen, communicator or Single())
    for start in range(0, len(own), _AT_ONCE):
        indices = own[start : start + _AT_ONCE]
        with no_grad():
            data = read_codes(store, split, level, indices, bool(model.classes))
            total += model.loss(*data).item() * len(indices)
    total = float(others.all_reduce(np.array(total)))
    return total / len(chosen) if len(chosen) else math.nan
