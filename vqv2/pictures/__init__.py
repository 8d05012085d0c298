"""Pictures that people look at: grids of images, and what a hierarchy makes of them."""

from vqv2.pictures.grid import save_image_grid
from vqv2.pictures.hierarchy import (
    check_shown,
    save_augmentations,
    save_neighbours,
    save_reconstructions,
    save_samples,
    shown_scale,
)

__all__ = [
    "check_shown",
    "save_augmentations",
    "save_image_grid",
    "save_neighbours",
    "save_reconstructions",
    "save_samples",
    "shown_scale",
]
