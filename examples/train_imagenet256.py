"""The paper's ImageNet run: 256x256 pixels, a top and a bottom level, 1000 classes.

    VQV2_BACKEND=cupy python examples/train_imagenet256.py --data imagenet/train --out runs/imagenet

The same functions as in lesson 12, with the settings of Tables 1 and 3. Try it first, on a
processor, in a minute:

    python examples/train_imagenet256.py --data emoji:32 --out runs/trial --small
"""

# What it takes
# VQV2_BACKEND=cupy selects the GPU (`pip install -e ".[cuda13]"`). Without it everything runs on
# the processor, which is right for a trial and hopeless for the real thing. Nothing below knows
# which.
#
# The paper used 8 TPU cores for the autoencoder and 128 for the priors, with batches of 128, 1024
# and 512. On one GPU, lower the batches until a step fits its memory. Parameters alone: the priors
# have about 423 and 436 million, each four times in float32 (weight, two moments of Adam, average)
# and once more for the gradient, that is about 20 bytes each, or 8.5 GB. Images or maps come on top
# in proportion to the batch.
#     --set autoencoder.batch=32 --set top.batch=16 --set bottom.batch=8
# A smaller batch is another training: expect to lower the rate (`learning_rate_scale`) with it.
import full_scale

from vqv2 import pipeline, preset
from vqv2.hierarchy import Hierarchy
from vqv2.pictures import save_samples

CLASSES = 8  # in the picture of samples, at most


def main(options):
    """All stages that --stage asks for, in order; each goes on where it stopped."""
    # Settings: Tables 1 and 3, column "ImageNet", as they stand in vqv2/presets.py.
    config = full_scale.changed(preset("imagenet256"), options, CLASSES)

    # Images: a folder whose sub-folders are the classes. A twentieth is held out. Where decoding
    # JPEGs does not keep up (`vqv2 data speed`), `vqv2 data pack` decodes them once: about 380 GB.
    sources = pipeline.open_splits(options.data, config.autoencoder)
    run = pipeline.open_or_begin(options.out, config, options.data, sources)

    # Stage 1: the autoencoder (Algorithm 1). 2 207 444 steps of 128 images in the paper.
    # Watch the perplexity of both levels: if it falls to a few codes, something is wrong. Ctrl-C
    # saves and stops; the same command goes on.
    if full_scale.wanted(options, "autoencoder") and not run.codes_folder.exists():
        pipeline.train_autoencoder(run, sources, options.seed, resume=True)

    # Codes (Algorithm 2, lines 1-7): 32x32 + 64x64 of them for each image, 10 kB in uint16; for
    # 1.28 million images 13 GB, mapped from the disk. The priors read nothing else.
    if full_scale.wanted(options, "codes") and not run.codes_folder.exists():
        pipeline.extract_codes(run, sources)

    # Stage 2: the priors (Algorithm 2, lines 8-9). They do not need one another: with two GPUs,
    # run them side by side, `--stage prior-top` with CUDA_VISIBLE_DEVICES=0 and
    # `--stage prior-bottom` with CUDA_VISIBLE_DEVICES=1. The paper's top prior reaches a loss of
    # 3.42 (Table 4, last row); log 512 = 6.24 nats would be knowing nothing.
    for level in config.levels:
        if full_scale.wanted(options, f"prior-{level}"):
            pipeline.train_prior(run, level, options.seed, resume=True)

    # Samples (Algorithm 2, lines 10-14), for the first classes, drawn incrementally (section F).
    if full_scale.wanted(options, "samples"):
        hierarchy = Hierarchy.load(run.folder)
        names = [hierarchy.class_names[number] for number in hierarchy.learned[:CLASSES]]
        path = run.folder / "samples.png"
        save_samples(path, hierarchy, options.samples, options.seed, True, names)
        print(f"samples: {path}")


if __name__ == "__main__":
    full_scale.start(main, __doc__)
