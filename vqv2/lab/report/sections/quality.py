"""Temperature, top-k and top-p: what samples gain in likeness, and what they lose in variety."""

import numpy as np

from vqv2.lab.evaluation.features import source_features
from vqv2.lab.evaluation.fidelity import NEIGHBOURS, frechet_distance, precision_and_recall
from vqv2.lab.evaluation.quality import held_out_likelihoods, mean_distance
from vqv2.lab.report import Panel, Section, Table, save_curves
from vqv2.models.quantizer import code_usage
from vqv2.pictures import save_image_grid, shown_scale
from vqv2.sampling import Settings

TEMPERATURES = (0.6, 0.8, 0.9, 1.0, 1.1)
TOP_K_SHARES = (1 / 4, 1 / 16)  # of the codebook
TOP_P = (0.95, 0.8)
SHOWN = 8
PICTURE, CURVES = "quality.png", "quality-curves.png"


def measure(subject):
    """Likelihood of held-out codes, and diversity of samples, for a sweep of settings."""
    hierarchy, options = subject.hierarchy, subject.options
    sweep = settings_to_compare(hierarchy.autoencoder.config.codebook_size)
    likelihoods = {
        level: held_out_likelihoods(prior, subject.store, level, sweep)
        for level, prior in hierarchy.priors.items()
    }
    network = subject.networks[0]
    count = max(options.swept, NEIGHBOURS + 1)
    real = source_features(
        network, subject.sources["train"], subject.chosen("train", options.images)
    )
    same_count = real[np.arange(min(count, len(real))) * len(real) // count]
    figures = {"network": network.name, "count": count, "training": len(real), "rows": []}
    if len(real) <= NEIGHBOURS:
        return figures
    of_real = mean_distance(same_count)  # zero where they are all alike
    pictures = []
    for position, settings in enumerate(sweep):
        samples = subject.draw(count, **vars(settings))
        pictures.append(samples.images[_shown(count)])
        features = network.features(samples.images)
        precision, recall = precision_and_recall(real, features)
        figures["rows"].append(
            {
                "settings": vars(settings),
                "likelihood": {
                    level: found[position]._asdict() for level, found in likelihoods.items()
                },
                "frechet": frechet_distance(real, features),
                "precision": precision,
                "recall": recall,
                "distance": mean_distance(features) / of_real if of_real else None,
                "perplexity": _perplexities(subject, samples.codes),
            }
        )
    labels = [in_words(settings) for settings in sweep]
    save_image_grid(
        subject.folder / PICTURE, pictures, labels, scale=shown_scale(pictures[0].shape[1])
    )
    save_curves(subject.folder / CURVES, _panels(figures, hierarchy.levels))
    return figures


def settings_to_compare(codebook_size):
    """The model as it is, then one thing changed at a time."""
    top_k = [max(1, round(codebook_size * share)) for share in TOP_K_SHARES]
    return [
        *(Settings(temperature=t) for t in TEMPERATURES),
        *(Settings(top_k=k) for k in top_k),
        *(Settings(top_p=p) for p in TOP_P),
    ]


def in_words(settings):
    """What a `Settings` changes: "temperature 0.9", "top-k 32"."""
    words = []
    if settings.top_k:
        words.append(f"top-k {settings.top_k}")
    if settings.top_p != 1:
        words.append(f"top-p {settings.top_p:g}")
    if settings.temperature != 1 or not words:
        words.insert(0, f"temperature {settings.temperature:g}")
    return ", ".join(words)


def _shown(count):
    return np.arange(min(SHOWN, count)) * count // min(SHOWN, count)


def _perplexities(subject, codes):
    size = subject.hierarchy.autoencoder.config.codebook_size
    return {level: code_usage(found, size)[0] for level, found in codes.items()}


def _panels(figures, levels):
    rows = [row for row in figures["rows"] if _only_temperature(row["settings"])]
    temperatures = [row["settings"]["temperature"] for row in rows]
    nats = {
        level: (temperatures, [row["likelihood"][level]["nats_per_code"] for row in rows])
        for level in levels
    }
    shares = {name: (temperatures, [row[name] for row in rows]) for name in ("precision", "recall")}
    return [
        Panel("Held-out codes", "temperature", "nats per code", nats),
        Panel("Samples", "temperature", "share", shares),
    ]


def _only_temperature(settings):
    return not settings["top_k"] and settings["top_p"] == 1


def sections(figures, folder):
    """Table, curves and the samples themselves."""
    heading = "Sampling with temperature, top-k and top-p"
    if not figures["rows"]:
        few = f"Images to compare samples with: {figures['training']} for training. Too few."
        return [Section(heading, few)]
    levels = list(figures["rows"][0]["likelihood"])
    columns = ["sampled with"]
    columns += [f"nats/code, {level}" for level in levels]
    columns += [f"never drawn, {level}" for level in levels]
    columns += ["Fréchet distance", "precision", "recall", "distance"]
    columns += [f"perplexity, {level}" for level in levels]
    rows = [_row(row, levels) for row in figures["rows"]]
    caption = (
        f"{figures['count']} samples for each row, against {figures['training']} training images; "
        f"features: {figures['network']}"
    )
    return [
        Section(
            heading,
            "Low temperatures and cut-off codes keep samples to what the priors hold most likely, "
            "mostly at the cost of variety. Nats per code are those of held-out codes under the "
            "distribution that is then sampled, of such as can still be drawn; the share that "
            "never is, of likelihood zero, stands beside them. A prior whose held-out codes are "
            "likelier above temperature 1 is too sure of itself. Distance is the mean distance "
            "between two samples, over that between two training images: 1 is as diverse as "
            "these. Perplexity is that of the samples' codes.",
            Table(columns, rows, caption),
            (
                (folder / CURVES, "By temperature, nothing cut off"),
                (folder / PICTURE, "The same noise in each column, for every setting"),
            ),
        )
    ]


def _row(row, levels):
    found = row["likelihood"]
    return [
        in_words(Settings(**row["settings"])),
        *(f"{found[level]['nats_per_code']:.3f}" for level in levels),
        *(f"{100 * found[level]['never']:.1f} %" for level in levels),
        f"{row['frechet']:.3g}",
        f"{row['precision']:.2f}",
        f"{row['recall']:.2f}",
        "-" if row["distance"] is None else f"{row['distance']:.3f}",
        *(f"{row['perplexity'][level]:.1f}" for level in levels),
    ]
