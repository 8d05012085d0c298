"""What the page is told: the model once, the session after every change."""

import numpy as np

from vqv2.lab.play import codebook, inspection
from vqv2.lab.play.pixels import data_address, heat
from vqv2.sampling import Settings

LIKELIEST = 8  # codes of the next position that are shown
ATLAS_COLUMNS = 32


def model_view(hierarchy, name):
    """The hierarchy: its levels, their codes as patches and colours, its classes."""
    size, _, channels = hierarchy.image_shape
    return {
        "name": name,
        "image_size": size,
        "channels": channels,
        "classes": [hierarchy.class_names[number] for number in hierarchy.learned],
        "levels": [_level_view(hierarchy, level) for level in hierarchy.levels],
    }


def _level_view(hierarchy, level):
    patches = codebook.code_patches(hierarchy.autoencoder, level)
    shares = codebook.shares(hierarchy.autoencoder, level)
    colours = np.rint(patches.mean(axis=(1, 2)) * 255).astype(int)
    return {
        "name": level,
        "size": hierarchy.config.autoencoder.latent_sizes[hierarchy.levels.index(level)],
        "codes": len(patches),
        "trained": level in hierarchy.priors,
        "patches": data_address(codebook.atlas(patches, ATLAS_COLUMNS)),
        "columns": ATLAS_COLUMNS,
        "patch": patches.shape[1],
        "colours": np.broadcast_to(colours, (len(colours), 3)).tolist(),
        "shares": np.round(shares, 6).tolist(),
        "by_use": np.argsort(-shares, kind="stable").tolist(),
    }


def session_view(session, settings=None):
    """As `moment_view`, and what has been kept."""
    drawing = session.drawing
    return {
        **moment_view(session, settings),
        "kept": [data_address(kept.image) for kept in session.state.kept],
        "drawing": drawing and {"label": drawing.label, "seed": drawing.seed},
        "brought": session.state.original is not None,
    }


def moment_view(session, settings=None):
    """The codes and the image; with `settings`, what may come at the next position."""
    drawing = session.drawing
    return {
        "codes": {level: codes.ravel().tolist() for level, codes in session.codes.items()},
        "image": data_address(session.decoded()),
        "complete": session.complete,
        "can_undo": session.can_undo,
        "class_name": session.state.class_name,
        "next": next_view(drawing, settings) if settings and drawing and drawing.place else None,
    }


def next_view(drawing, settings):
    """The likeliest codes of the next position, as drawn and as the model says."""
    level, row, column = drawing.place
    drawn = drawing.probabilities(settings)
    plain = drawing.probabilities({level: Settings()})
    order = np.lexsort((-plain, -drawn))[:LIKELIEST]
    return {
        "level": level,
        "row": row,
        "column": column,
        "class_name": drawing.class_name,
        "bars": [[int(code), float(drawn[code]), float(plain[code])] for code in order],
        "rest": float(max(0.0, 1 - drawn[order].sum())),
        "bits": float(-(plain * np.log2(np.maximum(plain, 1e-300))).sum()),
    }


def inspection_view(session, label):
    """The image from each level subset, beside the original if there is one, and its surprise."""
    hierarchy, original = session.hierarchy, session.state.original
    class_name, bits = inspection.surprise(hierarchy, session.codes, label)
    return {
        "original": None if original is None else data_address(original),
        "subsets": [
            _subset_view(subset, image, original)
            for subset, image in inspection.by_level(hierarchy, session.codes).items()
        ],
        "class_name": class_name,
        "bits": {level: np.round(values, 3).tolist() for level, values in bits.items()},
    }


def _subset_view(levels, image, original):
    view = {"levels": levels, "image": data_address(image)}
    if original is not None:
        error, psnr = inspection.errors(image, original)
        view |= {"psnr": round(min(psnr, 99.0), 2), "error": data_address(heat(error / 0.5))}
    return view
