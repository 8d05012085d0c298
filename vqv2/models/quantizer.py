"""Vector quantisation with an exponentially averaged codebook (equations 1 to 3)."""

from typing import Any

import numpy as np
from numpy.random import Generator

import vqv2.functional as F
from backends import Array, array_module, kernels, to_device, to_host
from vqv2.autodiff import Tensor
from vqv2.functional.requirements import require_shape
from vqv2.nn import Module


class Quantizer(Module):
    """K code vectors of D numbers, each replacing the encoder outputs nearest to it.

    Equation 3 averages, with decay gamma, for each code the count n of encoder outputs that chose
    it and their sum:

        N <- gamma N + (1 - gamma) n        m <- gamma m + (1 - gamma) sum        e = m / N

    Both start at zero and are *debiased* (divided by 1 - gamma^t) by a step counter t per code.
    What the paper does not state, decided here:

    * The codebook starts as randomly chosen encoder outputs of the first batch.
    * Counts and sums are smoothed alike (Laplace): to what chose it, a code adds `epsilon` outputs
      that lie where it is already, e = (m + epsilon e) / (N + epsilon). So a code that nothing
      chooses stays where it is, as in equation 3, also when N and m are too small for their digits.
    * A code unused for `restart_after` steps restarts as an encoder output of the current batch,
      with N, m and t back at zero.
    * Where several processes share a batch, all of this is about the whole batch.
    * With `update="loss"` the codebook is a parameter trained by ||sg[E(x)] - e||^2 instead.
    """

    def __init__(
        self,
        size: int,
        dimension: int,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        restart_after: int = 200,
        update: str = "ema",
    ) -> None:
        vectors = to_device(np.zeros((size, dimension), np.float32))
        self.codebook = vectors if update == "ema" else Tensor(vectors, requires_grad=True)
        self.counts = to_device(np.zeros(size, np.float32))
        self.sums = to_device(np.zeros((size, dimension), np.float32))
        self.steps = to_device(np.zeros(size, np.int64))
        self.unused = to_device(np.zeros(size, np.int64))
        self.started = np.zeros((), np.int64)  # on the host, which reads it
        self.decay = decay
        self.epsilon = epsilon
        self.restart_after = restart_after
        self.gathered: Any = None  # what was quantised, while the parts of a batch come in

    @property
    def vectors(self) -> Array:
        """The codebook as an array (K, D), whichever way it is trained."""
        return self.codebook.array if isinstance(self.codebook, Tensor) else self.codebook

    def encode(self, h: Array) -> Array:
        """Equation 1: encoder outputs (..., D), an array -> codes (...), int64."""
        outputs = h.reshape(-1, h.shape[-1])
        require_shape("h", outputs, (None, self.vectors.shape[-1]), {"the codebook": self.vectors})
        codes = kernels.nearest_code(outputs, self.vectors)
        return codes.reshape(h.shape[:-1])

    def decode(self, codes: Array) -> Array:
        """Codes (...) -> code vectors (..., D), an array."""
        return self.vectors[codes]

    def forward(
        self, h: Tensor, rng: Generator | None = None
    ) -> tuple[Tensor, Array, dict[str, Tensor]]:
        """Quantise a tensor h (N, H, W, D): (quantised tensor, codes (N, H, W), losses).

        The quantised tensor passes its gradient straight through to h. `losses` are tensors, means
        over elements (equation 2): "commitment" ||sg[e] - E(x)||^2 and, with update="loss",
        "codebook" ||sg[E(x)] - e||^2. With `rng` the codebook is started, updated (after
        quantising) and its unused codes are restarted.
        """
        outputs = h.array.reshape(-1, h.shape[-1])
        if rng is not None and not self.started:
            self.start(outputs, rng)
        codes = self.encode(h.array)
        chosen = self.decode(codes)
        losses = {"commitment": F.mean_squared_error(h, chosen)}
        if isinstance(self.codebook, Tensor):
            trained = F.embedding(codes, self.codebook)
            losses["codebook"] = F.mean_squared_error(trained, h.array)
        quantized = F.straight_through(h, chosen)
        if self.gathered is not None:
            self.gathered.add(outputs, codes.reshape(-1))
        elif rng is not None:
            self._learn(outputs, codes.reshape(-1), rng)
        return quantized, codes, losses

    def start(self, outputs: Array, rng: Generator) -> None:
        """Make the codebook of randomly chosen encoder outputs (M, D), an array."""
        self.vectors[...] = self._choose(outputs, len(self.vectors), rng)
        self.started[...] = 1

    def gather(self) -> None:
        """From here to `learn_gathered` the codebook stays as it is: a batch comes in parts."""
        self.gathered = _Gathered()

    def learn_gathered(self, rng: Generator | None) -> Array:
        """Learn from all that was quantised since `gather` as from one batch; its codes (M,)."""
        outputs, codes = self.gathered.joined()
        self.gathered = None
        self._learn(outputs, codes, rng)
        return codes

    def _learn(self, outputs, codes, rng):
        counts, sums = self._statistics(outputs, codes)
        self.unused[...] = array_module(counts).where(counts > 0, 0, self.unused + 1)
        if not isinstance(self.codebook, Tensor):
            self._average(counts, sums)
        if self.restart_after:
            self._restart(self.unused >= self.restart_after, outputs, rng)

    def _average(self, counts, sums):
        """Equation 3, debiased and smoothed, as a step from where each code is."""
        self.steps += 1
        self.counts += (1 - self.decay) * (counts - self.counts)
        self.sums += (1 - self.decay) * (sums - self.sums)
        number, total = self.average_counts[:, None], self.sums / self._debias[:, None]
        self.codebook += (total - number * self.codebook) / (number + self.epsilon)

    @property
    def average_counts(self) -> Array:
        """Equation 3's N, debiased (K,): about how many outputs of a batch choose each code."""
        return self.counts / self._debias

    @property
    def average_vector(self):
        """The code vectors' average (D,), weighted by their usage; unweighted without counts."""
        counts = self.average_counts
        weights = array_module(counts).where(counts.any(), counts, counts + 1)
        return (weights[:, None] * self.vectors).sum(axis=0) / weights.sum()

    @property
    def _debias(self):
        """1 - gamma^t of each code (K,); for one that has just (re)started, its N and m are 0."""
        steps = array_module(self.steps).maximum(self.steps, 1)
        return (1 - self.decay**steps).astype(self.counts.dtype)

    def _restart(self, dead, outputs, rng):
        count = int(dead.sum())
        if count:
            places = array_module(dead).flatnonzero(dead)
            self.vectors[places] = self._choose(outputs, count, rng)
            for statistic in (self.counts, self.sums, self.steps, self.unused):
                statistic[places] = 0

    def _statistics(self, outputs, codes):
        """Counts (K,) and sums (K, D) of the encoder outputs of the whole batch by their codes."""
        counts, sums = kernels.codebook_statistics(outputs, codes, len(self.vectors))
        if self.communicator.size > 1:
            joined = array_module(sums).concatenate([counts[:, None], sums], axis=1)
            joined = self.communicator.all_reduce(joined)
            counts, sums = joined[:, 0], joined[:, 1:]
        return counts, sums

    def _choose(self, outputs, count, rng):
        """`count` of the whole batch's encoder outputs, of which this process has the (M, D).

        Without repetition as long as there are enough. Every process draws the same places.
        """
        total = len(outputs) * self.communicator.size
        places = rng.choice(total, count, replace=count > total)
        xp = array_module(outputs)
        shares, places = np.divmod(places, len(outputs))
        chosen = outputs[xp.asarray(places)]
        own = xp.asarray(shares == self.communicator.rank)[:, None]
        return self.communicator.all_reduce(xp.where(own, chosen, 0))  # one process has each


class _Gathered:
    """Encoder outputs and their codes, part after part."""

    def __init__(self):
        self._parts = []

    def add(self, outputs, codes):
        self._parts.append((outputs, codes))

    def joined(self):
        outputs, codes = zip(*self._parts, strict=True)
        xp = array_module(codes[0])
        return xp.concatenate(outputs), xp.concatenate(codes)


def usage(counts: Array) -> tuple[float, int]:
    """(perplexity, number of used codes) of code counts (K,).

    Perplexity is e^entropy of the codes' frequencies: K when all are used equally, 1 when only
    one is.
    """
    counts = to_host(counts).astype(np.float64)
    frequencies = counts[counts > 0] / max(1.0, counts.sum())
    entropy = -(frequencies * np.log(frequencies)).sum()
    return float(np.exp(entropy)), int(len(frequencies))


def code_usage(codes: Array, size: int) -> tuple[float, int]:
    """(perplexity, number of used codes) of integer codes of any shape, out of `size`."""
    return usage(np.bincount(np.asarray(codes).reshape(-1), minlength=size))
