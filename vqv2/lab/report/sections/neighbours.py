"""The training images nearest to samples: are these new? (Section C, Figures 2 and 3)."""

import numpy as np

from vqv2.data.split import spread_indices
from vqv2.lab.evaluation.features import Pixels
from vqv2.lab.evaluation.neighbours import nearest_images
from vqv2.lab.report import Section, Table
from vqv2.pictures import save_neighbours
from vqv2.terminal import progress_bar

SHOWN = 8  # samples in a picture


def measure(subject):
    """For pixels and every feature network: a picture, and how near the nearest images are."""
    config = subject.hierarchy.autoencoder.config
    networks = {n.name: n for n in (Pixels(config.image_size, config.channels),)}
    networks.update({network.name: network for network in subject.networks})
    held_out = subject.sources["held_out"].batch(
        subject.chosen("held_out", len(subject.samples.images))
    )
    figures = {
        "samples": len(subject.samples.images),
        "held_out": len(held_out),
        "searched": len(subject.sources["train"]),
        "sampling": subject.describe_sampling(),
        "networks": [],
    }
    for number, network in enumerate(networks.values(), start=1):
        figures["networks"].append(_measure(subject, network, held_out, f"neighbours-{number}.png"))
    return figures


def _measure(subject, network, held_out, name):
    images, train = subject.samples.images, subject.sources["train"]
    with progress_bar(len(train), "neighbours", "image", subject.options.progress) as bar:
        # One search for both, so that the training images are read once.
        found = nearest_images(
            network,
            np.concatenate([images, held_out]),
            train,
            subject.options.neighbours,
            progress=bar.update,
        )
    shown = spread_indices(len(images), SHOWN)
    rows = [train.batch(found.indices[i]) for i in shown]
    save_neighbours(subject.folder / name, images[shown], rows, _classes(subject, shown))
    distances = found.distances[:, 0]
    of_samples, of_held_out = distances[: len(images)], distances[len(images) :]
    return {
        "name": network.name,
        "file": name,
        "samples": _spread(of_samples),
        "held_out": _spread(of_held_out),
        "nearer": int((of_samples < of_held_out.min()).sum()),
        "neighbours": {str(i): found.indices[i].tolist() for i in shown},
    }


def _classes(subject, shown):
    labels = subject.samples.labels
    names = subject.hierarchy.class_names
    return [""] * len(shown) if labels is None else [names[labels[i]] for i in shown]


def _spread(distances):
    return {"least": float(distances.min()), "median": float(np.median(distances))}


def sections(figures, folder):
    """A table, and the pictures."""
    columns = [
        "features",
        "samples: median",
        "least",
        "held out: median",
        "least",
        "samples nearer than any held-out image",
    ]
    rows = [
        [
            found["name"],
            *(f"{found[of][which]:.4g}" for of in ("samples", "held_out") for which in _ORDER),
            f"{found['nearer']} of {figures['samples']}",
        ]
        for found in figures["networks"]
    ]
    caption = (
        f"Distance to the nearest of {figures['searched']} training images, of "
        f"{figures['samples']} samples ({figures['sampling']}) and {figures['held_out']} held-out "
        "images"
    )
    return [
        Section(
            "Nearest training images",
            "Samples that are copies of training images lie much nearer to these than images that "
            "training has not seen. Near in pixels is not what people call alike: blurred images "
            "are near to everything.",
            Table(columns, rows, caption),
            tuple(
                (
                    folder / found["file"],
                    f"Samples on the left, then the training images nearest by {found['name']}",
                )
                for found in figures["networks"]
            ),
        )
    ]


_ORDER = ("median", "least")
