"""Images through the autoencoder, level by level (Figure 8)."""

from vqv2.lab.report import Section
from vqv2.pictures import save_reconstructions

PICTURE = "reconstructions.png"


def measure(subject):
    """A picture of held-out images; which ones they are."""
    chosen = subject.chosen("held_out", subject.options.shown)
    images = subject.sources["held_out"].batch(chosen)
    save_reconstructions(subject.folder / PICTURE, subject.hierarchy, images)
    return {"held_out": chosen.tolist()}


def sections(figures, folder):
    """The picture."""
    return [
        Section(
            "Reconstructions",
            "Held-out images through the autoencoder: what the top codes keep, what all codes "
            "keep, and the originals.",
            pictures=((folder / PICTURE, "Held-out images, decoded from their codes"),),
        )
    ]
