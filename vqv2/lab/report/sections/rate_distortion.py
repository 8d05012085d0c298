"""What an image costs and what is lost of it, on images of training and on others (section E)."""

import math

from vqv2.lab.evaluation import distortion, rates, unigram_nats
from vqv2.lab.report import Panel, Section, Table, save_curves
from vqv2.lab.report.sections.subject import SPLITS

PICTURE = "rate-distortion.png"


def measure(subject):
    """Distortion of every level subset, rate of every level, and what knows less."""
    hierarchy, store, limit = subject.hierarchy, subject.store, subject.options.images
    figures = {
        "images": {split: min(limit, store.counts[split]) for split in SPLITS},
        "distortion": {
            split: {
                " + ".join(subset): _figures(found)
                for subset, found in distortion(hierarchy, subject.sources[split], limit).items()
            }
            for split in SPLITS
        },
        "rate": {split: _rates(hierarchy, store, split, limit) for split in SPLITS},
        "baselines": {
            level: _baselines(subject.run.config, store, level) for level in store.levels
        },
    }
    if curves := _curves(figures):
        panel = Panel("Rate and distortion", "bits per image", "PSNR (dB)", curves)
        save_curves(subject.folder / PICTURE, [panel])
    return figures


def _figures(found):
    """MSE and PSNR of a `Distortion`; a PSNR that is infinite, as nothing is lost, is None."""
    return {"mse": found.mse, "psnr": found.psnr if found.mse > 0 else None}


def _rates(hierarchy, store, split, limit):
    return {
        level: {
            "nats_per_code": rate.nats_per_code,
            "bits_per_code": rate.bits_per_code,
            "bits_per_image": rate.bits_per_image,
            "bits_per_dim": rate.bits_per_dim,
        }
        for level, rate in rates(hierarchy, store, split, limit).items()
    }


def _baselines(config, store, level):
    """Nats per held-out code when all codes are alike, or only their frequencies are known."""
    size = config.autoencoder.codebook_size
    codes = [store.codes(split, level) for split in SPLITS]
    return {"uniform": math.log(size), "unigram": unigram_nats(*codes, size)}


def _curves(figures):
    """{name: (bits per image, PSNR)}: a point for each level subset whose priors are trained.

    A PSNR that is infinite has no place on the curve.
    """
    curves = {}
    for split, name in SPLITS.items():
        bits, points = 0.0, []
        for level, found in zip(
            figures["baselines"], figures["distortion"][split].values(), strict=True
        ):
            if level not in figures["rate"][split]:
                break
            bits += figures["rate"][split][level]["bits_per_image"]
            if found["psnr"] is not None:
                points.append((bits, found["psnr"]))
        if points:
            curves[name] = tuple(zip(*points, strict=True))
    return curves


def sections(figures, folder):
    """What is lost, and what it costs."""
    counts = figures["images"]
    of = f"{counts['train']} training and {counts['held_out']} held-out images"
    picture = [(folder / PICTURE, "Each further level costs bits and saves distortion")]
    return [
        Section(
            "Distortion",
            "How far the decoded images are from the originals, by the levels that are decoded. "
            "Images that training has seen should not come out much better than others.",
            Table(*_distortion_table(figures), f"{of}, pixels in [0, 1]"),
        ),
        Section(
            "Codes and priors",
            "How well the priors know the codes, in nats per code: the lower, the better. A prior "
            "that knows its training codes far better than others has learned them by heart. "
            "'Unigram' knows how often each code occurs and nothing else; log K knows nothing at "
            "all. Bits per dimension divide the bits of all codes by the numbers in an image; as "
            "the code is lossy, they are no likelihood of pixels.",
            Table(*_rate_table(figures), f"{of}; each level given the coarser ones"),
            tuple(picture) if _curves(figures) else (),
        ),
    ]


def _distortion_table(figures):
    columns = ["levels decoded"]
    columns += [f"MSE, {name}" for name in SPLITS.values()]
    columns += [f"PSNR (dB), {name}" for name in SPLITS.values()]
    found = figures["distortion"]
    rows = [
        [
            subset,
            *(f"{found[split][subset]['mse']:.5f}" for split in SPLITS),
            *(_decibels(found[split][subset]["psnr"]) for split in SPLITS),
        ]
        for subset in found["held_out"]
    ]
    return columns, rows


def _decibels(psnr):
    return f"{math.inf if psnr is None else psnr:.2f}"


def _rate_table(figures):
    train, held_out = (figures["rate"][split] for split in SPLITS)
    rows = [
        [level, *_rate_cells(train.get(level), held_out.get(level), baselines)]
        for level, baselines in figures["baselines"].items()
    ]
    if len(held_out) == len(rows) > 1:
        totals = [
            f"{sum(rate[unit] for rate in found.values()):{form}}"
            for unit, form in (("bits_per_image", ".0f"), ("bits_per_dim", ".4f"))
            for found in (train, held_out)
        ]
        rows.append(["all", *[""] * 4, *totals])
    columns = [
        "level",
        "nats/code, training",
        "nats/code, held out",
        "unigram",
        "log K",
        "bits/image, training",
        "bits/image, held out",
        "bits/dim, training",
        "bits/dim, held out",
    ]
    return columns, rows


def _rate_cells(train, held_out, baselines):
    known = [f"{baselines['unigram']:.3f}", f"{baselines['uniform']:.3f}"]
    if held_out is None:
        return ["", "", *known, "", "", "", ""]
    pair = (train, held_out)
    return [
        *(f"{rate['nats_per_code']:.3f}" for rate in pair),
        *known,
        *(f"{rate['bits_per_image']:.0f}" for rate in pair),
        *(f"{rate['bits_per_dim']:.4f}" for rate in pair),
    ]
