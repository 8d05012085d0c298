"""Pictures of a hierarchy at work: reconstructions by level, samples by class."""

import numpy as np

from vqv2.errors import InputError
from vqv2.pictures.grid import save_image_grid

SHOWN_PIXELS = 96  # small images are enlarged to about this size
MOST_PIXELS = 2**26  # of a picture's images: viewers refuse pictures that are not much larger


def save_reconstructions(path, hierarchy, images):
    """One row per level subset, coarse to fine, and the originals last (Figure 8, turned round).

    images: (N, H, W, C) in [0, 1]. Writes a PNG to `path`. Raises `InputError` as `encode` and
    `check_shown` do.
    """
    subsets = hierarchy.level_subsets
    check_shown((len(subsets) + 1) * len(images), images.shape[1])
    codes = hierarchy.encode(images)
    rows = [hierarchy.decode(codes, subset) for subset in subsets] + [images]
    labels = [_words(subset, hierarchy.levels) for subset in subsets] + ["original"]
    save_image_grid(path, rows, row_labels=labels, scale=shown_scale(images.shape[1]))


def save_samples(path, hierarchy, per_class, seed=0, progress=False, classes=None, **how):
    """One row of new images per class, or one of all without classes. Writes a PNG to `path`.

    `classes` names those to show, default all that were learned; `how` as in
    `Hierarchy.sample_codes`. Returns the images (N, H, W, C) in [0, 1].
    """
    names = classes or [hierarchy.class_names[i] for i in hierarchy.learned] or ("samples",)
    check_shown(len(names) * per_class, hierarchy.autoencoder.config.image_size)
    labels = [name for name in names for _ in range(per_class)] if hierarchy.class_names else None
    images = hierarchy.sample(len(names) * per_class, labels, seed, progress=progress, **how)
    rows = [images[i * per_class : (i + 1) * per_class] for i in range(len(names))]
    save_image_grid(path, rows, row_labels=list(names), scale=shown_scale(images.shape[1]))
    return images


def save_augmentations(path, source, indices, augmentation, seed=0):
    """Some images of a source: as they are, after each part of an augmentation alone, after all.

    One image in each column; each has the same draws in every row. Writes a PNG to `path`.
    """
    rows = {"as it is": source.batch(indices)}
    for name, part in augmentation.parts():
        rows[name] = source.batch(indices, part, np.random.default_rng(seed))
    save_image_grid(path, list(rows.values()), list(rows), scale=shown_scale(source.size))


def save_neighbours(path, images, neighbours, labels):
    """One row per image: the image (H, W, C), and its nearest ones (n, H, W, C), as in Figure 2.

    `labels` has a text for each row. Writes a PNG to `path`.
    """
    rows = [
        np.concatenate([image[None], near]) for image, near in zip(images, neighbours, strict=True)
    ]
    columns = ["sample", "nearest", *(str(place) for place in range(2, len(rows[0])))]
    save_image_grid(path, rows, labels, columns, shown_scale(images.shape[1]))


def _words(subset, levels):
    return f"{subset[0]} only" if len(subset) == 1 < len(levels) else " + ".join(subset)


def shown_scale(size):
    """How many times images of `size` pixels are enlarged wherever they are shown, from 1 up."""
    return max(1, SHOWN_PIXELS // size)


def check_shown(count, size):
    """Raise `InputError` when so many images of `size` pixels are too many for one picture."""
    most = MOST_PIXELS // (size * shown_scale(size)) ** 2
    if count > most:
        raise InputError(
            f"a picture of {count} images of {size} x {size} pixels would be too large for what "
            f"shows pictures: ask for at most {most}"
        )
