"""Fréchet distance, precision and recall of samples, beside what the decoder alone gives."""

import numpy as np

from vqv2.lab.evaluation.features import source_features
from vqv2.lab.evaluation.fidelity import NEIGHBOURS, fidelity
from vqv2.lab.report import Section, Table

SETS = {
    "samples": "samples",
    "reconstructions": "reconstructions of held-out images",
    "held_out": "held-out images themselves",
}


def measure(subject):
    """For every feature network: the `Fidelity` of as many samples as other images."""
    samples = subject.samples.images
    held_out = subject.chosen("held_out", len(samples))
    count = len(held_out)
    spread = np.arange(count) * len(samples) // count
    images = subject.sources["held_out"].batch(held_out)
    sets = {
        "samples": samples[spread],
        "reconstructions": subject.hierarchy.decode(subject.hierarchy.encode(images)),
        "held_out": images,
    }
    train = subject.chosen("train", subject.options.images)
    figures = {
        "count": count,
        "training": len(train),
        "sampling": subject.describe_sampling(),
        "networks": [],
    }
    for network in subject.networks if min(count, len(train)) > NEIGHBOURS else ():
        real = source_features(network, subject.sources["train"], train)
        found = {name: network.features(images) for name, images in sets.items()}
        rng = np.random.default_rng(subject.options.seed)
        figures["networks"].append(
            {
                "name": network.name,
                "dimensions": real.shape[1],
                **{name: _fidelity(real, features, rng) for name, features in found.items()},
            }
        )
    return figures


def _fidelity(real, features, rng):
    found = fidelity(real, features, rng)
    return {name: list(estimate) for name, estimate in found._asdict().items()}


def sections(figures, folder):
    """One table."""
    if not figures["networks"]:
        few = (
            f"Images to compare samples with: {figures['training']} for training, "
            f"{figures['count']} held out. Too few."
        )
        return [Section("Fidelity", few)]
    rows = [
        [
            network["name"] if name == next(iter(SETS)) else "",
            words,
            *(_interval(network[name][figure]) for figure in ("frechet", "precision", "recall")),
        ]
        for network in figures["networks"]
        for name, words in SETS.items()
    ]
    caption = (
        f"{figures['count']} images of each kind against {figures['training']} training images; "
        f"samples of {figures['sampling']}; 95 % intervals by bootstrap"
    )
    return [
        Section(
            "Fidelity",
            "How near the samples as a whole are to training images, in the features of a network: "
            "Fréchet distance (0 is best), precision (how many lie where real images are) and "
            "recall (how much of where real images are they cover). No prior can make samples "
            "better than the decoder makes reconstructions, so these are the floor; what held-out "
            "images reach is due to the number of images alone. Only distances of one network and "
            "one number of images can be compared.",
            Table(["features", "images", "Fréchet distance", "precision", "recall"], rows, caption),
        )
    ]


def _interval(estimate):
    value, low, high = estimate
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"
