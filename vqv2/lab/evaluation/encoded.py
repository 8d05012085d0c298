"""Images to judge a hierarchy with, and their codes, in memory."""

import numpy as np

from vqv2.data.split import spread_indices

BATCH = 32


class EncodedImages:
    """Up to `limit` images spread over each split, encoded; read like a `CodeStore`.

    levels       names, coarse to fine
    indices      {split: places of the images in their source}
    counts       {split: number of images}
    class_names  names of the classes, may be empty
    """

    def __init__(self, hierarchy, sources, limit, progress=lambda count: None):
        self.levels = hierarchy.levels
        self.class_names = hierarchy.class_names
        self.indices = {
            split: spread_indices(len(source), limit) for split, source in sources.items()
        }
        self.counts = {split: len(chosen) for split, chosen in self.indices.items()}
        self._labels = {
            split: None if source.labels is None else source.labels[self.indices[split]]
            for split, source in sources.items()
        }
        self._codes = {
            split: _encode(hierarchy, source, self.indices[split], progress)
            for split, source in sources.items()
        }

    def codes(self, split, level):
        """The codes of one level, (N, size, size) uint16."""
        return self._codes[split][level]

    def read(self, split, level, indices):
        """Some of these maps, (n, size, size) uint16."""
        return self.codes(split, level)[indices]

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return self._labels[split]


def _encode(hierarchy, source, chosen, progress):
    parts = []
    for start in range(0, len(chosen), BATCH):
        images = source.batch(chosen[start : start + BATCH])
        parts.append(hierarchy.encode(images))
        progress(len(images))
    return {level: np.concatenate([part[level] for part in parts]) for level in hierarchy.levels}
