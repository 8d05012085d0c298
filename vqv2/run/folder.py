"""A run folder: where everything about one hierarchy lies, and who made what.

RUN/config.json                 what the stages have in common: class names, where data is; and the
                                configurations that they will be begun with
RUN/autoencoder/                stage 1:
    training.json               the configuration, the seed and the schedule of this stage, from
                                when it has begun: what config.json says of it no longer counts
    log.jsonl                   `vqv2.run.log`
    checkpoint.safetensors ...  `vqv2.run.checkpoint.Checkpoints`; they have the configuration that
                                they were trained with, sealed
RUN/codes/                      the extracted codes (`vqv2.run.codes`)
RUN/prior-LEVEL/                stage 2: the same files; levels may be trained at the same time
"""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np

from vqv2.config import Config, check_levels, from_values
from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import check_json, read_json, write_json
from vqv2.files.text import Each, Many, Table, Text, Truth, Whole
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.prior import Prior
from vqv2.run import checkpoint, rules
from vqv2.run.codes import open_codes
from vqv2.run.pretrained import locate, other_than

FORMAT = "vqv2 run 1"
STAGE_FORMAT = "vqv2 stage 1"
CONFIG_REMEDY = (
    "restore it from a copy; or remove config.json and give the command that began the run again, "
    "with --data, its settings and --resume: the checkpoints stay, and it is written anew"
)
_REMEDY = "remove it, and give the command that began this stage again with --resume"
_RUN = Table(
    {
        "data": Text(),
        "class_names": Many(Text()),
        "config": Table(
            {"name": Text(), "conditional": Truth(), "autoencoder": Each(), "priors": Many(Each())}
        ),
    }
)
_STAGE = Table(
    {
        "format": Text(),
        "stage": Text(),
        "seed": Whole(0, None),
        "schedule": Each(),
        "config": Each(),
    }
)


class StageError(DamagedError):
    """A training.json that is damaged."""


class Run:
    """An existing or new run folder; `Run.open` reads one, `Run.new(...).save()` makes one."""

    def __init__(self, folder, config, class_names, data):
        self.folder = Path(folder)
        self.config = config
        self.class_names = tuple(class_names)
        self.data = data

    @classmethod
    def new(cls, folder, config, class_names, data):
        """A run that is not written yet.

        The folder may hold the beginning of one, without a checkpoint. Raises `InputError` when
        there is a trained one, or a config.json that is something else.
        """
        run = cls(folder, config, class_names, data)
        if is_run(folder) and cls.open(run.folder) and run.checkpoints("autoencoder").paths():
            raise InputError(
                f"{run.folder} holds a run already: continue it with --resume, or choose another "
                "folder"
            )
        return run

    def save(self):
        """Write config.json. Raises `InputError` when that fails; a former one is then intact."""
        content = {
            "format": FORMAT,
            "data": self.data,
            "class_names": list(self.class_names),
            "config": self.config.as_dict(),
        }
        write_json(self.config_path, content)

    @classmethod
    def open(cls, run):
        """Read config.json, and what has begun; of a folder, or a name (`vqv2.run.pretrained`).

        Raises `InputError` when there is no run.
        """
        folder = locate(run)
        path = folder / "config.json"
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is not a run folder, but a file: give the folder of a run")
        try:
            content = read_json(path, CONFIG_REMEDY)
        except MissingError:
            raise MissingError(
                f"{folder} is not a run folder (it has no config.json){other_than(run)}: train "
                "an autoencoder first"
            ) from None
        if content.get("format") != FORMAT:
            raise DamagedError(
                f"{path} is not the configuration of a vqv2 run: choose another folder, or restore "
                "it from a copy"
            )
        check_json(content, _RUN, path, CONFIG_REMEDY)
        try:
            config = Config.from_dict(content["config"])
        except InputError as error:
            raise DamagedError(f"{path} cannot be used: {error}; {CONFIG_REMEDY}") from None
        names, data = content["class_names"], content["data"]
        rules.check_distinct(path, names)
        return cls(folder, config, names, data)._with_begun_stages()

    def _with_begun_stages(self):
        for stage in self.stages:
            # A damaged record concerns who trains this stage, and asks `begun`: nobody else.
            with contextlib.suppress(StageError):
                if record := _record(self.stage_folder(stage)):
                    config = stage_config(rules.config_type(stage), record, self.folder / stage)
                    self.set_config(stage, config)
        return self

    @property
    def config_path(self):
        """The file that says what the stages have in common."""
        return self.folder / "config.json"

    @property
    def codes_folder(self):
        """Where the extracted codes are."""
        return self.folder / "codes"

    @property
    def stages(self):
        """Those that are trained, in order: "autoencoder", "prior-top", ..."""
        return ("autoencoder", *(f"prior-{level}" for level in self.config.levels))

    def stage_folder(self, stage):
        """Folder of "autoencoder" or of the prior of a level, "prior-LEVEL"."""
        return self.folder / stage

    def checkpoints(self, stage):
        """The `Checkpoints` of a stage."""
        return checkpoint.Checkpoints(self.stage_folder(stage))

    def checkpoint_path(self, stage):
        """The newest checkpoint of a stage."""
        return self.checkpoints(stage).newest

    def set_config(self, stage, config):
        """Have a stage another configuration, in memory."""
        if stage == "autoencoder":
            self.config = self.config.with_autoencoder(config)
        else:
            self.config = self.config.with_prior(stage.removeprefix("prior-"), config)

    def begun(self, stage):
        """{"seed", "schedule"} that a stage's training was begun with; {} when it was not.

        Raises `StageError` when its record is damaged, its configuration included.
        """
        folder = self.stage_folder(stage)
        record = _record(folder) or {}
        if record:
            stage_config(rules.config_type(stage), record, folder)
        return {name: record[name] for name in ("seed", "schedule") if name in record}

    def new_autoencoder(self, seed):
        """An untrained autoencoder of this configuration."""
        return Autoencoder(self.config.autoencoder, np.random.default_rng((seed, 0)))

    def new_prior(self, level, seed):
        """An untrained prior of `level`. Raises `InputError` for an unknown level."""
        self.check_level(level)
        return build_prior(self.config, level, len(self.class_names), seed)

    def check_level(self, level):
        """Raise `InputError` unless there is a level of this name."""
        check_levels([level], self.config.levels)

    def load_autoencoder(self):
        """(autoencoder with averaged weights, its identity), of its checkpoint's configuration.

        Raises `InputError` when there is none, when it is damaged, or when it does not fit the run.
        """
        path = self.checkpoint_path("autoencoder")
        config = rules.check_checkpoint(self, "autoencoder", path)
        return checkpoint.load_model(Autoencoder(config, None), path), checkpoint.digest(path)

    def autoencoder_identity(self):
        """What `load_autoencoder` says of which one it is, from its header alone. Raises alike."""
        path = self.checkpoint_path("autoencoder")
        rules.check_checkpoint(self, "autoencoder", path)
        return checkpoint.digest(path)

    def open_codes(self, autoencoder_identity, everything=False):
        """The `CodeStore` of this autoencoder, verified as `vqv2.run.codes.open_codes` does.

        Raises `InputError` as that does, and when its maps or classes are not the run's.
        """
        store = open_codes(self.codes_folder, autoencoder_identity, everything)
        rules.check_codes(self, store)
        return store

    def load_prior(self, level, autoencoder_identity, best=False):
        """The prior of `level` with averaged weights, learned from this autoencoder's codes.

        The newest one, or the one whose held-out loss was lowest. Raises `InputError` when there is
        none, when it is damaged, when it has learned another autoencoder's codes, or other
        classes than the run has.
        """
        path = self.prior_path(level, best)
        config = rules.check_checkpoint(self, f"prior-{level}", path, autoencoder_identity)
        config = self.config.with_prior(level, config)
        return checkpoint.load_model(build_prior(config, level, len(self.class_names)), path)

    def prior_identity(self, level, best=False):
        """What tells the prior that `load_prior` gives from another, from its header alone."""
        return checkpoint.digest(self.prior_path(level, best))

    def learned_classes(self, level, best=False):
        """Numbers (C,) of the classes that a prior has learned from images of, ascending.

        None without classes, and where its checkpoint does not say so. Raises `InputError` where
        that has a class that the run does not have.
        """
        path = self.prior_path(level, best)
        learned = checkpoint.read_metadata(path).get(rules.LEARNED)
        if learned and max(learned) >= len(self.class_names):
            raise DamagedError(
                f"{path} is damaged, it has learned class {max(learned)} of "
                f"{len(self.class_names)}: restore it from a copy"
            )
        return np.array(learned, np.int64) if learned else None

    def prior_path(self, level, best=False):
        """The checkpoint of a prior: the newest, or that of the lowest held-out loss.

        Raises `InputError` where that is not there any more.
        """
        checkpoints = self.checkpoints(f"prior-{level}")
        return checkpoints.lowest() if best else checkpoints.newest


def is_run(folder):
    """Whether a folder has a config.json, of whatever kind."""
    return (Path(folder) / "config.json").exists()


def write_stage(folder, stage, seed, config, schedule, origin=None):
    """Write the training.json of a stage: what it takes to begin it again, or to go on.

    `config` is its configuration, `schedule` a dictionary of what else it was told, `origin` one of
    where the weights came from that it has begun with, if these were not drawn from the seed.
    """
    content = {
        "format": STAGE_FORMAT,
        "stage": stage,
        "seed": seed,
        "schedule": schedule,
        "config": dataclasses.asdict(config),
        **({"from": origin} if origin else {}),
    }
    write_json(Path(folder) / "training.json", content)


def read_stage(folder, stage=None):
    """The training.json of a stage as a dictionary; None when there is none.

    Raises `StageError` when it is damaged, or of another stage than `stage` (None: any).
    """
    path = Path(folder) / "training.json"
    try:
        content = read_json(path, _REMEDY, _STAGE)
    except MissingError:
        return None
    except InputError as error:
        raise StageError(str(error)) from None
    if content["format"] != STAGE_FORMAT:
        raise StageError(f"{path} is not what a training of vqv2 was begun with: {_REMEDY}")
    if stage and content["stage"] != stage:
        raise StageError(f"{path} is of {content['stage']!r}, not {stage!r}: {_REMEDY}")
    return content


def stage_config(kind, record, folder):
    """The configuration, a dataclass `kind`, in what `read_stage` read from `folder`.

    Raises `StageError` when it is none.
    """
    try:
        return from_values(kind, record["config"])
    except InputError as error:
        path = Path(folder) / "training.json"
        raise StageError(f"{path} cannot be used: {error}; {_REMEDY}") from None


def _record(folder):
    """The training.json of a stage; where it was removed, being damaged, the newest checkpoint's.

    None where there is neither.
    """
    record = read_stage(folder, folder.name)
    if record is None:
        metadata = checkpoint.Checkpoints(folder).metadata() or {}
        return metadata if metadata.get("stage") == folder.name else None
    return record


def build_prior(config, level, classes, seed=None):
    """A prior of one level of a `Config`: the seed and the level decide its weights.

    Without a seed it has none yet (`vqv2.nn.layers.weight`).
    """
    autoencoder, position = config.autoencoder, config.levels.index(level)
    size = autoencoder.latent_sizes[position]
    coarser = [(autoencoder.codebook_size, s) for s in autoencoder.latent_sizes[:position]]
    return Prior(
        config.prior(level),
        autoencoder.codebook_size,
        size,
        None if seed is None else np.random.default_rng((seed, 1 + position)),
        coarser,
        classes if config.conditional else 0,
    )
