"""A stage that begins with weights that are there: of another run (fine-tuning), or imported.

It begins at step 0 with Adam's moments at zero. Averaged weights, codebooks and statistics are
taken over, and are written as its first checkpoint before anything else: from then on it goes on
like any other training, and does not need the other run any more. Where they came from stays in its
training.json and in the metadata of its checkpoints.
"""

import dataclasses

from vqv2 import nn
from vqv2.errors import InputError
from vqv2.nn.residual import Gate
from vqv2.run import Run, checkpoint
from vqv2.run.rules import ORIGIN, place

# Fields that say what arrays there are, of which shape, and what they mean.
OF_AUTOENCODER = (
    "channels",
    "hidden_units",
    "residual_units",
    "layers",
    "codebook_size",
    "codebook_dimension",
    "encoder_filter_size",
    "upsampling_filter_size",
)
OF_PRIOR = (
    "hidden_units",
    "residual_units",
    "layers",
    "attention_layers",
    "attention_heads",
    "filter_size",
    "second_kernel",
    "output_stack_layers",
    "condition_output_stack",
    "conditioning_blocks",
    "conditioning_units",
)


@dataclasses.dataclass(frozen=True)
class Start:
    """The weights that a stage begins with.

    model        the trained one, with averaged weights
    origin       where it comes from: {"run": path, "stage", "step", "identity": checksum}
    class_names  of what it has learned
    codes_of     the identity of the autoencoder whose codes a prior has learned
    """

    model: nn.Module
    origin: dict
    class_names: tuple = ()
    codes_of: str = ""


def start_of(folder, stage):
    """The `Start` that the newest checkpoint of a stage gives, of the run in `folder` or so named.

    Raises `InputError` when there is none, or when it is damaged.
    """
    run = Run.open(folder)
    folder = run.folder
    if stage == "autoencoder":
        model, codes_of = run.load_autoencoder()
    else:
        level, codes_of = stage.removeprefix("prior-"), run.autoencoder_identity()
        run.check_level(level)
        model = run.load_prior(level, codes_of)
    path = run.checkpoint_path(stage)
    metadata = checkpoint.read_metadata(path)
    origin = {"run": place(folder), "stage": stage, "step": metadata["step"]}
    origin["identity"] = checkpoint.digest(path)
    return Start(model, origin, tuple(metadata["class_names"]), codes_of)


def take_over(start, model, fields, class_names=()):
    """Fill `model` with the weights of `start`, and its tables of classes where these are alike.

    `fields` are those of both configurations that have to be equal. Raises `InputError` naming what
    does not fit.
    """
    subject = start.origin["run"]
    _check_fields(subject, start.model, model, fields)
    given, own = start.model.state(), model.state()
    if start.class_names != tuple(class_names):
        tables = _class_tables(start.model), _class_tables(model)
        given = {name: array for name, array in given.items() if name not in tables[0]}
        given |= {name: own[name] for name in tables[1]}
    try:
        model.load_state(given)
    except InputError as error:
        raise InputError(f"the weights in {subject} do not fit: {error}") from None


def _class_tables(model):
    """Names of what a prior has learned of each class."""
    gates = {name: part for name, part in model.modules().items() if isinstance(part, Gate)}
    return [f"{name}.label.table" for name, gate in gates.items() if gate.label is not None]


def remarks(start, run):
    """[sentence] about what a prior of `run` cannot take over from `start`."""
    origin, sentences = start.origin["run"], []
    if run.config.conditional and start.class_names != run.class_names:
        sentences.append(
            f"the classes are others than those of {origin}: what its prior has learned of classes "
            "is left out, and learned anew"
        )
    autoencoder = run.checkpoints("autoencoder").metadata() or {}
    related = autoencoder.get(ORIGIN, {}).get("identity"), run.autoencoder_identity()
    if start.codes_of not in related:
        sentences.append(
            f"the autoencoder of this run was not begun from that of {origin}: its codes mean "
            "something else, so that little of what that prior knows of codes will help"
        )
    return sentences


def _check_fields(subject, other, model, fields):
    pairs = {name: (getattr(other.config, name), getattr(model.config, name)) for name in fields}
    if hasattr(model, "codebook_size"):  # a prior's comes from its autoencoder
        pairs["codebook_size"] = (other.codebook_size, model.codebook_size)
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differ:
        words = ", ".join(
            f"{name} {there} and not {here}" for name, (there, here) in differ.items()
        )
        settings = " ".join(f"--set {n}={there}" for n, (there, _) in differ.items() if n in fields)
        remedy = f": give {settings}" if settings else ""
        raise InputError(f"the weights in {subject} do not fit: they have {words}{remedy}")
