"""`vqv2 ablate prior` and `vqv2 ablate latents`: the paper's ablations, at any size."""

from pathlib import Path

from vqv2.cli.arguments import (
    DATA_HELP,
    add_command,
    add_settings,
    check_seed,
    parse_settings,
)
from vqv2.config import replace
from vqv2.data.images import absolute_data
from vqv2.errors import InputError
from vqv2.files import atomic_write, write_json
from vqv2.lab.ablations import latents, prior_grid
from vqv2.run import Run
from vqv2.terminal import format_table


def add_parser(subparsers):
    """Add `ablate` with its experiments."""
    parser = subparsers.add_parser("ablate", help="repeat an ablation of the paper (Tables 4, 5)")
    experiments = parser.add_subparsers(title="experiments", metavar="WHAT", required=True)
    _add_prior(experiments)
    _add_latents(experiments)


def _add_prior(experiments):
    grid = prior_grid.Grid()
    parser = add_command(
        experiments,
        "prior",
        "Table 4: a prior for every batch size, width and number of attention layers",
        (
            "vqv2 ablate prior runs/emoji --out ablations/prior",
            "vqv2 ablate prior runs/emoji --out ablations/prior --batch 16,64 \\",
            "     --hidden-units 16,64 --attention-layers 0,2 --seeds 0,1 --set layers=4",
        ),
        _ablate_prior,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with codes")
    parser.add_argument("--level", help="top, bottom, ... (default: the top level)")
    for name in ("batch", "hidden_units", "attention_layers", "seeds"):
        values = ",".join(map(str, getattr(grid, name)))
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, metavar="A,B,...", default=values, help=f"default: {values}")
    for name, kind in (("epochs", float), ("steps", int)):
        value = getattr(grid, name)
        help_text = f"when the losses are compared (default: {value:g})"
        parser.add_argument(f"--{name}", type=kind, metavar="N", default=value, help=help_text)
    _add_common(parser, "field of all priors that is no axis of the grid")


def _add_latents(experiments):
    dimensions = ",".join(map(str, latents.DIMENSIONS))
    parser = add_command(
        experiments,
        "latents",
        "Table 5: autoencoders without quantisation against the VQ-VAE",
        (
            "vqv2 ablate latents --data emoji:32 --out ablations/latents",
            "vqv2 ablate latents --data photos/ --out ablations/latents --dimensions 8,16 \\",
            "     --set autoencoder.image_size=64 --set autoencoder.latent_sizes=16",
        ),
        _ablate_latents,
    )
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument(
        "--dimensions",
        metavar="A,B,...",
        default=dimensions,
        help=f"of the latent vectors (default: {dimensions})",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    _add_common(parser, "field, autoencoder.FIELD or prior.FIELD")


def _add_common(parser, which):
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets all trainings; continued if there"
    )
    add_settings(parser, f"change one {which}; may be repeated (see vqv2/config.py)")


def _ablate_prior(arguments):
    run = Run.open(arguments.run_folder)
    level = arguments.level or run.config.levels[0]
    run.check_level(level)
    settings = parse_settings(arguments.settings)
    if taken := [name for name in prior_grid.DECIDED if name in settings]:
        raise InputError(
            f"--set {taken[0]}: the grid decides about {', '.join(prior_grid.DECIDED)}; use "
            "--batch, --hidden-units, --attention-layers and --steps"
        )
    base = replace(run.config.prior(level), settings)
    grid = prior_grid.Grid(
        *(_whole_numbers(arguments, n) for n in ("batch", "hidden_units", "attention_layers")),
        _whole_numbers(arguments, "seeds"),
        arguments.epochs,
        arguments.steps,
    )
    ablation = prior_grid.PriorAblation(run, level, base, grid, arguments.out)
    outcomes, cells = [], grid.cells()
    for number, cell in enumerate(cells, 1):
        print(f"{number} of {len(cells)}: {cell.name}", flush=True)
        outcomes.append(ablation.train(cell))
    text = _prior_text(outcomes, grid)
    _save(arguments.out, text, {"cells": [_flat(outcome) for outcome in outcomes]})


def _ablate_latents(arguments):
    check_seed(arguments.seed)
    dimensions = _whole_numbers(arguments, "dimensions")
    if min(dimensions) < 1:
        raise InputError(f"--dimensions {arguments.dimensions} must be at least 1")
    config = _latents_config(parse_settings(arguments.settings))
    data = absolute_data(arguments.data)
    ablation = latents.LatentAblation(data, config, arguments.out, arguments.seed)
    print("VQ-VAE", flush=True)
    quantized, rows = ablation.quantized(), []
    for number in dimensions:
        print(f"autoencoder without quantisation, {number} dimensions", flush=True)
        rows.append(ablation.continuous(number))
    rows.append(quantized)
    count = len(ablation.sources["held_out"])
    text = (
        f"{count} held-out images of {ablation.sources['held_out'].name}, seed {arguments.seed}\n"
        + format_table(*latents.latents_table(rows, config))
    )
    _save(arguments.out, text, {"rows": [row._asdict() for row in rows]})


def _latents_config(settings):
    """The ablation's configuration with {"autoencoder.FIELD" or "prior.FIELD": text} changed."""
    changes = {"autoencoder": {}, "prior": {}}
    for name, value in settings.items():
        part, _, field = name.partition(".")
        if part not in changes or not field:
            raise InputError(f"--set {name}: write autoencoder.FIELD=VALUE or prior.FIELD=VALUE")
        changes[part][field] = value
    config = latents.CONFIG
    config = config.with_autoencoder(replace(config.autoencoder, changes["autoencoder"]))
    return config.with_prior("top", replace(config.priors[0], changes["prior"]))


def _flat(outcome):
    values = outcome._asdict()
    return {**values.pop("cell")._asdict(), **values}


def _prior_text(outcomes, grid):
    orders = {True: "yes", False: "no", None: "not tested: an axis has one value only"}
    numbers = ", ".join(map(str, grid.seeds))
    seeds = f"means over the seeds {numbers}" if len(grid.seeds) > 1 else f"seed {numbers}"
    return "\n\n".join(
        (
            f"Held-out nats per code, {seeds}\n"
            + format_table(*prior_grid.grid_table(outcomes, grid)),
            "What each factor changes, everything else being equal\n"
            + format_table(*prior_grid.effects_table(outcomes, grid)),
            "The paper's order (width, then attention, then batch)? "
            + "; ".join(
                f"{title}: {orders[prior_grid.has_the_papers_order(outcomes, measure)]}"
                for title, measure in prior_grid.measures(grid).items()
            ),
        )
    )


def _save(folder, text, results):
    """Print the tables, and write them to table.txt and the figures to results.json."""
    print(f"\n{text}\n")
    with atomic_write(Path(folder) / "table.txt") as temporary:
        temporary.write_text(text + "\n")
    write_json(Path(folder) / "results.json", results)
    print(f"saved in {folder}: table.txt, results.json")


def _whole_numbers(arguments, name):
    text = getattr(arguments, name)
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise InputError(
            f"--{name.replace('_', '-')} {text}: give whole numbers with commas between"
        ) from None
