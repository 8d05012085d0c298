"""New images, by class and by temperature."""

import time

from vqv2.lab.report import Section
from vqv2.lab.report.sections.subject import in_words
from vqv2.pictures import save_samples


def measure(subject):
    """A picture for each temperature, drawn with the same noise; how long an image took."""
    options, hierarchy = subject.options, subject.hierarchy
    sizes = hierarchy.autoencoder.config.latent_sizes
    figures = {
        "levels": dict(zip(hierarchy.levels, sizes, strict=True)),
        "classes": subject.shown_classes(),
        "pictures": [],
    }
    for number, temperature in enumerate(options.temperatures, start=1):
        name = "samples.png" if len(options.temperatures) == 1 else f"samples-{number}.png"
        start = time.perf_counter()
        images = save_samples(
            subject.folder / name,
            hierarchy,
            options.per_class,
            options.seed,
            options.progress,
            figures["classes"],
            temperature=temperature,
        )
        seconds = (time.perf_counter() - start) / len(images)
        found = {"file": name, "temperature": temperature, "seconds_per_image": seconds}
        figures["pictures"].append(found)
    return figures


def sections(figures, folder):
    """The pictures."""
    maps = " and ".join(f"a {s} x {s} {level} map" for level, s in figures["levels"].items())
    rows = "one class in each row. " if figures["classes"] else ""
    pictures = figures["pictures"]
    seconds = max(found["seconds_per_image"] for found in pictures)
    return [
        Section(
            "Samples",
            f"New images, {rows}Each was drawn as {maps} of codes by the priors, and decoded. "
            "None was picked by hand. "
            + ("At each temperature the same noise was used. " if len(pictures) > 1 else "")
            + f"Drawing one image took at most {seconds:.2g} s, many at a time.",
            pictures=tuple(
                (folder / found["file"], f"Samples, temperature {in_words(found['temperature'])}")
                for found in pictures
            ),
        )
    ]
