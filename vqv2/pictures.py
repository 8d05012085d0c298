"""Pictures that people look at: grids of images, and what a hierarchy makes of them."""

from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vqv2.errors import InputError
from vqv2.files import atomic_write

GAP = 4
MARGIN = 12
LINE_SPACING = 4
INK = (34, 34, 34)
PAPER = (255, 255, 255)
SHOWN_PIXELS = 96  # small images are enlarged to about this size
MOST_PIXELS = 2**26  # of a picture's images: viewers refuse pictures that are not much larger


def save_image_grid(path, rows, row_labels=None, column_labels=None, scale=1):
    """Write `rows`, float arrays `(n, H, W, C)` of pixels in [0, 1], to one PNG.

    C is 1 or 3 and may differ between rows, as may n; H and W are common to all. Values outside
    [0, 1] are clipped. Every pixel becomes a square of `scale` x `scale`. `row_labels` has one
    string per row; `column_labels` one per column of the longest row; either may hold line breaks.

    Raises `InputError` for an array that is no such row, for pixels that are not finite, for the
    wrong number of labels, and when `path` cannot be written.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | np.integer) or scale < 1:
        raise InputError(f"the scale of an image grid is {scale!r}: give a whole number from 1 up")
    rows = [_checked(np.asarray(row), position) for position, row in enumerate(rows)]
    column_count = max((len(row) for row in rows), default=0)
    if column_count == 0:
        raise InputError("an image grid needs at least one image: every row given is empty")
    _check_common_size(rows)
    row_labels = _checked_labels(row_labels, len(rows), "row")
    column_labels = _checked_labels(column_labels, column_count, "column")
    picture = _draw(rows, row_labels, column_labels, scale)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")


def _checked(row, position):
    """The row as uint8: of a generator's rows, no more is held."""
    if row.ndim != 4 or row.shape[3] not in (1, 3) or 0 in row.shape[1:]:
        raise InputError(
            f"row {position} of the image grid has shape {row.shape}: give (n, H, W, C), C 1 or 3"
        )
    if not np.issubdtype(row.dtype, np.floating):
        raise InputError(
            f"row {position} of the image grid has dtype {row.dtype}: give floats in [0, 1]"
        )
    if not np.isfinite(row).all():
        raise InputError(f"row {position} of the image grid has pixels that are NaN or infinite")
    return np.rint(np.clip(row.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def _check_common_size(rows):
    for position, row in enumerate(rows):
        if row.shape[1:3] != rows[0].shape[1:3]:
            raise InputError(
                f"row {position} of the image grid has images of {row.shape[1:3]} pixels, row 0 "
                f"of {rows[0].shape[1:3]}: give one size (H, W) to all"
            )


def _checked_labels(labels, count, kind):
    if labels is None:
        return [""] * count
    if len(labels) != count:
        raise InputError(
            f"the image grid has {count} {kind}s but {len(labels)} {kind} labels: give one each"
        )
    return [str(label) for label in labels]


def _draw(rows, row_labels, column_labels, scale):
    """The picture of images centred in their cells; sizes and places are (horizontal, vertical).

    A cell is as large as its labels ask, so that a word over a tiny image stays readable.
    """
    size = np.array(rows[0].shape[2:0:-1]) * scale
    font = ImageFont.load_default(size=min(max(int(size[1]) // 5, 13), 24))
    beside = np.array([_text_size(label, font) for label in row_labels])
    above = np.array([_text_size(label, font) for label in column_labels])
    cell = np.maximum(size, (above[:, 0].max() + GAP, beside[:, 1].max()))
    label = np.array((beside[:, 0].max(), above[:, 1].max()))
    origin = MARGIN + np.where(label, label + MARGIN, 0)

    def corner(column, line):
        """Upper left corner of a cell."""
        return origin + (cell + GAP) * (column, line)

    end = corner(len(column_labels), len(row_labels)) - GAP + MARGIN
    picture = Image.new("RGB", tuple(end.tolist()), PAPER)
    write = partial(ImageDraw.Draw(picture).text, fill=INK, font=font, spacing=LINE_SPACING)
    for column, text in enumerate(column_labels):
        place = corner(column, 0) + (cell[0] / 2, -MARGIN / 2)
        write(tuple(place.tolist()), text, anchor="md", align="center")
    for line, text in enumerate(row_labels):
        place = corner(0, line) + (-MARGIN, cell[1] / 2)
        write(tuple(place.tolist()), text, anchor="rm", align="right")
    for line, row in enumerate(rows):
        for column, image in enumerate(row):
            place = corner(column, line) + (cell - size) // 2
            picture.paste(_picture_of(image, scale), tuple(place.tolist()))
    return picture


def _text_size(text, font):
    if not text:
        return 0, 0
    canvas = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    # From the ascender down, so that every label of as many lines is equally tall.
    box = canvas.multiline_textbbox((0, 0), text, font, anchor="la", spacing=LINE_SPACING)
    return int(np.ceil(box[2])), int(np.ceil(box[3]))


def _picture_of(levels, scale):
    levels = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(np.broadcast_to(levels, (*levels.shape[:2], 3)).copy())


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
