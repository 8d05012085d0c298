"""Lesson 14: your own backend.

You will learn  that what you wrote for the exercises trains the library's models, and samples them
Minutes         15 (and about 1 of training, several without --quick)
Needs           lesson 12, and as many of e03, e04, e06, e07, e10, e11, e16 as you have solved

    python examples/14_your_own_backend.py --quick
    python examples/14_your_own_backend.py --answers ada/     # ada/e03.py, ada/e04.py, ...
"""

# %% [markdown]
# Everything that this library computes goes through *kernels*: some forty functions of arrays,
# listed in `backends/kernels.py`. A *backend* is a set of versions of them. Seven of the exercises
# had you write eleven: convolution and causal convolution, attention, Adam, nearest codes and their
# statistics, a gate, cross-entropy. Here they become a backend called "mine", and a small hierarchy
# is trained and sampled with it.

# %% Your answers
# They are read where you filled them in, `exercise.py` of each exercise, or from the folder that
# `--answers` names. Where nothing is solved yet, the solutions stand in for you.
import dataclasses
import shutil
from pathlib import Path

import course_run
import lesson
import numpy as np
from exercises import backend
from exercises.adapters import ADAPTERS
from exercises.catalogue import EXERCISES

from vqv2 import Hierarchy, backends, pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.data.images import open_images
from vqv2.training import Schedule

options = lesson.options(__doc__, answers=("",), round=("", *ADAPTERS))
if options.answers and not Path(options.answers).is_dir():
    raise SystemExit(f"--answers {options.answers}: there is no such folder")
folders = {e.name: e.folder for e in EXERCISES if e.name in ADAPTERS}
paths = {name: folder / "exercise.py" for name, folder in folders.items()}
if options.answers:
    paths = {name: Path(options.answers) / f"{name}.py" for name in folders}
answers = backend.read(paths)

# %% Are they right?
# What an exercise leaves out, such as the stride of a convolution or the heads of attention,
# `examples/exercises/adapters.py` adds around your functions: read it, it is short. Then each
# kernel runs beside its reference on small arrays of awkward shapes. A wrong one would train, too,
# and only make everything a bit worse: such errors are found here or never. The reference replaces
# what is missing or wrong.
rng = np.random.default_rng(0)
kernels, verdicts = backend.compare(answers, rng)
if not options.answers and all(verdict.state == "not yet" for verdict in verdicts):
    print("nothing is solved yet, so the solutions stand in for your answers")
    answers = backend.read({name: folder / "solution.py" for name, folder in folders.items()})
    kernels, verdicts = backend.compare(answers, rng)


class Rounding:
    """An answer that computes with few digits: every number that it is given is rounded to one."""

    def __init__(self, answer):
        self.answer = answer

    def __getattr__(self, name):
        function = getattr(self.answer, name)

        def rounded(*given):
            return function(*(a.round(1) if getattr(a, "ndim", 0) else a for a in given))

        return rounded


if options.round in answers:
    answers[options.round] = Rounding(answers[options.round])
    kernels, verdicts = backend.compare(answers, rng)
for verdict in verdicts:
    words = f"{verdict.state}: {verdict.reason}" if verdict.reason else verdict.state
    print(f"{verdict.exercise}  {verdict.kernel:24} {words}")


# %% A hierarchy for an old computer
# Images of 16x16, two maps of 4x4 and 8x8 codes, and priors of two layers without dropout (which
# e11 does not have): your code computes with NumPy what compiled loops and BLAS do elsewhere.
def configuration(quick):
    """A `Config` that is trained in a minute or in some."""
    autoencoder = AutoencoderConfig(
        image_size=16,
        latent_sizes=(4, 8),
        hidden_units=16,
        residual_units=8,
        codebook_size=32,
        codebook_dimension=8,
        level_dropout=0.15,
        restart_after=25,
        batch=16,
        steps=200 if quick else 1500,
        learning_rate=4e-3,
        decay_learning_rate=True,
        polyak_decay=0.95,
        augmentation="none",
    )
    top = PriorConfig(
        hidden_units=16,
        residual_units=16,
        layers=2,
        attention_layers=1,
        attention_heads=2,
        filter_size=3,
        dropout=0.0,
        output_stack_layers=0,
        batch=16,
        steps=80 if quick else 400,
        warmup_steps=30,
        polyak_decay=0.95,
    )
    bottom = dataclasses.replace(
        top, attention_layers=0, conditioning_blocks=1, conditioning_units=16
    )
    return Config("mine", autoencoder, (top, bottom)).check()


# %% Train it, and sample
# `backends.register` made a backend without kernels, which the reference serves; each of yours was
# added by `@kernels.NAME.version("mine")`. `with backends.use("mine"):` selects it. That is what
# `plugged_in` does, and it counts the calls. All else is as in lesson 12.
course_run.images(options.out)
data, folder = options.out / "images", options.out / "mine"
sources = {split: open_images(data, 16, split=split) for split in ("train", "held_out")}
shutil.rmtree(folder, ignore_errors=True)
originals = sources["held_out"].batch(np.arange(16))
with backend.plugged_in(kernels) as calls:
    run = pipeline.open_or_begin(folder, configuration(options.quick), data, sources)
    never = Schedule(validate_every=10**9)
    pipeline.train_autoencoder(run, sources, schedule=never)
    pipeline.extract_codes(run, sources, progress=False)
    for level in ("top", "bottom"):
        pipeline.train_prior(run, level, schedule=never)
    hierarchy = Hierarchy.load(run.folder)
    codes = hierarchy.encode(originals)
    reconstructions = hierarchy.decode(codes)
    samples = {name: hierarchy.sample(8, name, seed=3) for name in hierarchy.class_names}

# %% The same by the reference
with backends.use("reference"):
    their_codes = hierarchy.encode(originals)
    their_samples = hierarchy.sample(8, "flags", seed=3)
same_codes = np.mean([np.mean(codes[level] == their_codes[level]) for level in codes])
apart = np.abs(samples["flags"] - their_samples).max()

# %% Draw it
drawing = lesson.Figure((12, 4.4), layout="constrained")
left, right = drawing.subfigures(1, 2, width_ratios=[1.5, 1])
rows = {
    "held out": originals[::2],
    "reconstructed": reconstructions[::2],
    **{f"new {name}": row for name, row in samples.items()},
}
panels = left.subplots(len(rows), 8)
for line, (name, row) in zip(panels, rows.items(), strict=True):
    for place, picture in zip(line, row, strict=True):
        lesson.show(place, picture)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
bars = right.subplots()
names = [verdict.kernel for verdict in verdicts]
bars.barh(names, [calls[name] for name in names], color=lesson.PALETTE[0])
for place, name in enumerate(names):
    words = f" {calls[name]}" if name in kernels else " the reference's"
    bars.text(calls[name], place, words, va="center", fontsize=9)
bars.set_title("Calls of your kernels")
bars.set_xlim(right=1.25 * max(1, *calls.values()))
bars.invert_yaxis()
lesson.save(
    drawing,
    options,
    "14_your_own_backend",
    "Left: held-out images, reconstructed, and new faces and flags, computed by the "
    "kernels of the backend. Right: how often each of these kernels was called.",
)

# %% Figures
error = ((reconstructions - originals) ** 2).mean()
print(f"{len(kernels)} of {len(verdicts)} kernels are yours, called {calls.total()} times in all")
print(f"squared error of held-out images {error:.4f}; of their mean {originals.var():.4f}")
print(f"codes equal to the reference's: {100 * same_codes:.1f} %; samples apart by {apart:.1e}")
wrong = sorted({verdict.exercise for verdict in verdicts if verdict.state == "wrong"})
lesson.expect(
    not wrong,
    "every kernel that is there agrees with its reference",
    f"The checks of {', '.join(wrong)} say more: python -m examples.exercises NAME --file FILE.",
)
lesson.expect(error < originals.var() / 2, "the autoencoder has learned to see")
lesson.expect(
    same_codes > 0.99 and apart < 0.01,
    "the same hierarchy with the reference's kernels gives the same codes and the same samples",
)
if options.round:
    print(f"What {options.round} was given was rounded to one digit. Comparing numbers found it,")
    print("and the reference stood in. No picture would have: a model that is trained by slightly")
    print("wrong kernels is only slightly worse.")

# %% [markdown]
# To train for real, only speed is missing, and that is all that the Numba and CUDA versions add:
# the same meaning, held against the same references. `docs/backends.md` says what a version has to
# promise, and `backends.register("mine", otherwise="numba")` replaces fast kernels one at a time.
#
# Try: `--round e06`. Will the images show that one answer computes with a single digit?
#
# Exercises: all of the above that are not "yours" yet (e03, e04, e06, e07, e10, e11, e16).
