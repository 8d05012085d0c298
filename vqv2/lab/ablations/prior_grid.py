"""Table 4: one prior for every combination of batch size, width and number of attention layers."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import NamedTuple

from vqv2.errors import InputError
from vqv2.lab.ablations.held_out import held_out_losses
from vqv2.run import build_prior
from vqv2.run.codes import open_codes
from vqv2.training import PriorTask, Schedule, train

RESIDUAL_FACTOR = 4  # Table 4: residual units are four times the hidden units in every row
VALIDATIONS = 6  # in each training, beside those at the two marks
DECIDED = ("batch", "hidden_units", "residual_units", "attention_layers", "steps")  # by a cell
FACTORS = ("hidden_units", "attention_layers", "batch")  # in the paper's order of importance


class Cell(NamedTuple):
    """One training of the grid."""

    batch: int
    hidden_units: int
    attention_layers: int
    seed: int

    @property
    def name(self):
        """What its folder is called."""
        return (
            f"batch{self.batch}-hidden{self.hidden_units}-attention{self.attention_layers}"
            f"-seed{self.seed}"
        )


class Outcome(NamedTuple):
    """Held-out nats per code of one cell, with averaged weights (up to 1024 maps)."""

    cell: Cell
    at_epochs: float  # after `Grid.epochs` passes over the data
    at_steps: float  # after `Grid.steps` updates
    best: float  # lowest of all validations, where early stopping would have ended


@dataclasses.dataclass(frozen=True)
class Grid:
    """The axes of Table 4, and the two moments at which it looks.

    The paper has batches of 64, 128 and 256, 64, 128 and 256 hidden units, 64 epochs and a million
    steps on 1.28 million images; the defaults here take well under an hour on one processor core.
    """

    batch: tuple[int, ...] = (16, 64)
    hidden_units: tuple[int, ...] = (8, 16, 32)
    attention_layers: tuple[int, ...] = (0, 2)
    seeds: tuple[int, ...] = (0,)
    epochs: float = 1.0
    steps: int = 1000

    def check(self):
        """Raise `InputError` for an empty axis, a repetition, or numbers that mean nothing."""
        for name in ("batch", "hidden_units", "attention_layers", "seeds"):
            values = getattr(self, name)
            least = 0 if name in ("attention_layers", "seeds") else 1
            if not values or min(values) < least or len(set(values)) < len(values):
                raise InputError(
                    f"{name} {','.join(map(str, values))}: give one or more different whole "
                    f"numbers from {least} on"
                )
        if not 0 < self.epochs < math.inf:
            raise InputError(f"epochs {self.epochs} must be greater than 0")
        if self.steps < 1:
            raise InputError(f"steps {self.steps} must be at least 1")
        return self

    def cells(self):
        """All combinations in the order of Table 4's rows, the seeds of a row side by side."""
        axes = (self.batch, self.hidden_units, self.attention_layers, self.seeds)
        return [Cell(*values) for values in itertools.product(*axes)]

    def marks(self, batch, images):
        """(steps after which `epochs` passes are done, `steps`) with this batch."""
        return math.ceil(self.epochs * images / batch), self.steps


def cell_config(base, cell, steps):
    """`base`, a `PriorConfig`, with the numbers of a cell. Raises `InputError`."""
    return dataclasses.replace(
        base,
        batch=cell.batch,
        hidden_units=cell.hidden_units,
        residual_units=RESIDUAL_FACTOR * cell.hidden_units,
        attention_layers=cell.attention_layers,
        steps=steps,
    ).check()


class PriorAblation:
    """The grid for the prior of one level of a run with codes, filling a folder of its own.

    run     a `Run` with an autoencoder and its codes
    base    the `PriorConfig` that gives everything but the grid's axes
    folder  gets one folder for every cell, in which a training is continued if there is one

    Raises `InputError` for an unknown level, for codes that are missing or hold out no images, and
    for cells that make no model.
    """

    def __init__(self, run, level, base, grid, folder):
        run.check_level(level)
        self.run = run
        self.level = level
        self.base = base
        self.grid = grid.check()
        self.folder = Path(folder)
        self.store = open_codes(run.codes_folder, run.autoencoder_identity())
        if not self.store.counts.get("held_out"):
            raise InputError(f"{run.codes_folder} has no held-out images to compare priors on")
        for cell in grid.cells():
            cell_config(base, cell, grid.steps)

    def train(self, cell, progress=True):
        """Train one cell as far as it is not done yet: its `Outcome`.

        Raises `InputError` when the folder has another grid's trainings.
        """
        folder = self.folder / cell.name
        marks = self.grid.marks(cell.batch, self.store.counts["train"])
        schedule = Schedule(validate_every=max(1, max(marks) // VALIDATIONS), progress=progress)
        for steps in sorted(set(marks)):
            train(self._task(cell, steps), folder, cell.seed, True, schedule)
        losses = held_out_losses(folder)
        if missing := set(marks) - set(losses):
            raise InputError(
                f"{folder} was validated at other steps than {min(missing)}: choose another folder "
                "for other epochs or steps"
            )
        reached = [loss for step, loss in losses.items() if step <= max(marks)]
        return Outcome(cell, *(losses[step] for step in marks), min(reached))

    def _task(self, cell, steps):
        config = self.run.config.with_prior(self.level, cell_config(self.base, cell, steps))
        model = build_prior(config, self.level, len(self.run.class_names), cell.seed)
        return PriorTask(model, self.level, self.store, cell.seed)


def grid_table(outcomes, grid):
    """(columns, rows): Table 4, and the lowest loss of each training; means over the seeds."""
    columns = ["Batch Size", "Hidden Units", "Residual Size", "Num Attention", *measures(grid)]
    rows = []
    for (batch, hidden, attention), group in _rows(outcomes).items():
        losses = [_mean([getattr(o, name) for o in group]) for name in measures(grid).values()]
        shown = [f"{loss:.3f}" for loss in losses]
        rows.append([batch, hidden, RESIDUAL_FACTOR * hidden, attention, *shown])
    return columns, rows


def measures(grid):
    """{title of a column: field of `Outcome`}."""
    titles = (f"NLL @{grid.epochs:g} epochs", f"NLL @{grid.steps} steps", "lowest NLL")
    return dict(zip(titles, ("at_epochs", "at_steps", "best"), strict=True))


class Effect(NamedTuple):
    """What going from a factor's lowest to its highest value changes, all else being equal."""

    factor: str
    low: int
    high: int
    mean: float  # nats per code; negative when the higher value is better
    least: float  # the smallest and the largest of all pairs
    most: float
    pairs: int


def effects(outcomes, measure):
    """The `Effect` of every factor that has several values, the largest mean first."""
    found = []
    losses = {outcome.cell: getattr(outcome, measure) for outcome in outcomes}
    for factor in FACTORS:
        values = sorted({getattr(cell, factor) for cell in losses})
        low, high = values[0], values[-1]
        if low == high:
            continue
        pairs = [
            losses[cell._replace(**{factor: high})] - loss
            for cell, loss in losses.items()
            if getattr(cell, factor) == low
        ]
        found.append(
            Effect(factor, low, high, _mean(pairs), min(pairs), max(pairs), len(pairs)),
        )
    return sorted(found, key=lambda effect: -abs(effect.mean))


def effects_table(outcomes, grid):
    """(columns, rows): the effects at both marks and at the lowest loss, the largest first."""
    rows = [
        [
            title,
            effect.factor.replace("_", " "),
            f"{effect.low} to {effect.high}",
            f"{effect.mean:+.3f}",
            f"{effect.least:+.3f} to {effect.most:+.3f}",
            effect.pairs,
        ]
        for title, measure in measures(grid).items()
        for effect in effects(outcomes, measure)
    ]
    columns = ["NLL", "factor", "from", "mean change", "all pairs", "pairs"]
    return columns, rows


def has_the_papers_order(outcomes, measure):
    """Whether width matters most, then attention, then batch (section B); None if not tested."""
    order = [effect.factor for effect in effects(outcomes, measure)]
    return order == list(FACTORS) if len(order) == len(FACTORS) else None


def _rows(outcomes):
    groups = {}
    for outcome in outcomes:
        groups.setdefault(outcome.cell[:3], []).append(outcome)
    return groups


def _mean(values):
    return sum(values) / len(values)
