"""A compact run: what using a trained run needs and no more, an eighth of its newest checkpoints.

It is a run folder like any other, with config.json and one checkpoint of each trained stage, and
is read by whatever reads runs. A checkpoint has the weights in use alone: no moments of Adam, no
weights of the last step. Parameters are stored in bfloat16; code vectors, counts and running
statistics, which are few, as they are. There are no codes, no logs, and no paths of the machine
that it was trained on.

Rounding makes another autoencoder, which gives some images other codes: it has an identity of its
own, from the rounded weights. The priors have learned codes of the former one, nearly the same, and
are bound to the new one here, deliberately, and nowhere else. `vqv2 compact` measures what that
costs; the digest of what each part was made from stays in its metadata (`COMPACTED`).
"""

from vqv2.errors import InputError
from vqv2.run import checkpoint, rules
from vqv2.run.checkpoint import IN_USE
from vqv2.run.folder import Run

_KEPT = (
    *("stage", "step", "seed", "config", "best"),
    *(rules.NAME, "images", rules.CLASSES, rules.IDENTITY),
    *(rules.CODES, rules.LEARNED, rules.COMPACTED),
)


def compact(run, folder, data=None, best=False):
    """Write a compact run of what is trained of a `Run`; the new `Run`, in `folder`.

    data   what the new run calls the images that it has learned from (None: as `run` does)
    best   priors as they were when their held-out loss was lowest

    Raises `InputError` when there is no autoencoder, when a checkpoint is damaged or does not fit
    the run, when the folder holds something already, and when it cannot be written.
    """
    autoencoder, identity = run.load_autoencoder()
    priors = {
        level: run.load_prior(level, identity, best)
        for level in run.config.levels
        if run.checkpoint_path(f"prior-{level}").exists()
    }
    new = Run(folder, run.config, run.class_names, data or run.data)
    _check_free(new)
    source, target = (one.checkpoint_path(rules.AUTOENCODER) for one in (run, new))
    _write(target, autoencoder, source)
    bound_to = {rules.AUTOENCODER: checkpoint.digest(target)}
    for level, prior in priors.items():
        _write(new.prior_path(level), prior, run.prior_path(level, best), bound_to)
    new.save()  # the last: without it the folder is no run
    return new


def _check_free(new):
    """Raise `InputError` where something would be replaced, or mixed with what is written."""
    for path in (new.config_path, *map(new.stage_folder, new.stages), new.codes_folder):
        if path.exists():
            raise InputError(f"{path} exists: choose another folder, or remove it")


def _write(target, model, source, more=None):
    """The checkpoint `target` of a model, with what that at `source`, its own, says of it."""
    metadata = checkpoint.read_metadata(source)
    kept = {name: metadata[name] for name in _KEPT if name in metadata}
    metadata = {rules.COMPACTED: checkpoint.digest(source), **kept, **(more or {})}
    arrays = {f"{IN_USE}.{name}": array for name, array in model.state().items()}
    parameters = [f"{IN_USE}.{name}" for name in model.parameters()]
    checkpoint.save(target, arrays, metadata, parameters)
