"""The models of a configuration, each with the shape of its batches."""

from vqv2.lab.bench.cases import TrainingCase


def models(config, classes=0):
    """{"autoencoder", "prior top", ...: `TrainingCase`} of a `Config`, at its own batches."""
    autoencoder = config.autoencoder
    cases = {"autoencoder": TrainingCase(autoencoder, autoencoder.batch)}
    codes, told = autoencoder.codebook_size, classes if config.conditional else 0
    maps = [(codes, size) for size in autoencoder.latent_sizes]
    for position, level in enumerate(config.levels):
        prior = config.prior(level)
        coarser, (_, size) = tuple(maps[:position]), maps[position]
        cases[f"prior {level}"] = TrainingCase(prior, prior.batch, size, coarser, told, codes)
    return cases
