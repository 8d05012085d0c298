"""The paper's FFHQ run: faces of 1024x1024 pixels, three levels, no classes.

    VQV2_BACKEND=cupy python examples/train_ffhq1024.py --data ffhq/ --out runs/ffhq

The same code as `train_imagenet256.py`, which explains the stages; here is what differs. Try it
first, on a processor, in a minute:

    python examples/train_ffhq1024.py --data emoji:128 --out runs/trial --small
"""

# What differs from ImageNet
# Three levels, 32x32, 64x64 and 128x128. The finest encoder shrinks eightfold, the two coarser ones
# twofold each. Table 2 has a prior for each level, with more dropout than for ImageNet, because
# 70 000 faces are few: 0.5 for the top, 0.3 for the middle, 0.25 for the bottom.
#
# Memory goes to the activations: an image has 16 times the pixels of an ImageNet one, and the
# bottom prior works on 16 384 places at once. Start with
#     --set autoencoder.batch=4 --set top.batch=16 --set middle.batch=4 --set bottom.batch=1
# and raise each as far as the memory goes. Batches can be divided among several GPUs
# (docs/parallel.md, tried on no device yet), and levels trained at the same time, see below.
import full_scale

from vqv2 import pipeline, preset
from vqv2.hierarchy import Hierarchy
from vqv2.pictures import save_reconstructions, save_samples


def main(options):
    """All stages that --stage asks for, in order; each goes on where it stopped."""
    # Settings: Tables 2 and 3, column "FFHQ".
    config = full_scale.changed(preset("ffhq1024"), options)
    sources = pipeline.open_splits(options.data, config.autoencoder)
    run = pipeline.open_or_begin(options.out, config, options.data, sources)

    # Stage 1, with the augmentation of section A.1: flips, colours, noise.
    if full_scale.wanted(options, "autoencoder") and not run.codes_folder.exists():
        pipeline.train_autoencoder(run, sources, options.seed, resume=True)

    # Look at reconstructions before you spend weeks on priors: no sample can be sharper.
    if full_scale.wanted(options, "codes") and not run.codes_folder.exists():
        pipeline.extract_codes(run, sources)
        autoencoder = Hierarchy.load(run.folder, priors=False)
        images = sources["held_out"].batch(range(min(6, len(sources["held_out"]))))
        save_reconstructions(run.folder / "reconstructions.png", autoencoder, images)

    # Stage 2. Middle and bottom read the *true* coarser codes, so all three can train at once:
    # one process each, with `--stage prior-top`, `--stage prior-middle`, `--stage prior-bottom`
    # and CUDA_VISIBLE_DEVICES. Each writes into its own sub-folder of --out.
    for level in config.levels:
        if full_scale.wanted(options, f"prior-{level}"):
            pipeline.train_prior(run, level, options.seed, resume=True)

    # Samples: 1024 + 4096 + 16 384 codes for each face.
    if full_scale.wanted(options, "samples"):
        hierarchy = Hierarchy.load(run.folder)
        path = run.folder / "samples.png"
        save_samples(path, hierarchy, options.samples, options.seed, progress=True)
        print(f"samples: {path}")


if __name__ == "__main__":
    full_scale.start(main, __doc__)
