"""Evaluations of a run in a folder: figures in evaluation.json, pictures, and report.html."""

import time
from pathlib import Path

from vqv2.errors import InputError, MissingError
from vqv2.files import check_json, read_json, write_json
from vqv2.files.text import Each, Number, Table
from vqv2.lab.report import save_page
from vqv2.lab.report.sections import EVALUATIONS
from vqv2.terminal import format_table

FORMAT = "vqv2 evaluation 1"
_CONTENT = Table({"evaluations": Each(Each()), "seconds": Each(Number()), "options": Each(Each())})
_REMEDY = "delete it to start anew"


def evaluate(subject, names, announce=print):
    """Measure the evaluations `names`; write evaluation.json and report.html after each of them.

    What is in evaluation.json of others stays, as long as it is about the same model and data; the
    page shows everything that is there. `announce` is called with a line of text now and then.

    (content of evaluation.json, {name: why} of those that cannot be measured of this run and these
    images, which do not keep the others from the page).
    """
    content, failed = _former(subject, announce), {}
    for name in names:
        start = time.perf_counter()
        try:
            figures = EVALUATIONS[name].measure(subject)
        except InputError as error:
            failed[name] = str(error)
            announce(f"{name}: not measured")
            continue
        content["evaluations"][name] = figures
        content["seconds"][name] = round(time.perf_counter() - start, 1)
        content["options"][name] = _options(subject)
        _write(subject, content)
        announce(f"{name}: {content['seconds'][name]:.0f} s")
    return content, failed


def sections_of(content, folder, names=EVALUATIONS):
    """The sections of the `content` of evaluation.json in the order of a page; of `names` only.

    Raises `InputError` when figures are missing, and when a picture is.
    """
    found = content["evaluations"]
    try:
        return [
            section
            for name, module in EVALUATIONS.items()
            if name in found and name in names
            for section in module.sections(found[name], Path(folder))
        ]
    except (KeyError, TypeError, IndexError) as error:
        path = Path(folder) / "evaluation.json"
        raise InputError(
            f"{path} lacks figures, another version wrote it ({error!r}): delete it, and evaluate "
            "again"
        ) from None


def as_text(sections):
    """The tables of some sections, for a terminal, and what those say that have nothing to show."""
    return "\n\n".join(filter(None, map(_text, sections)))


def _text(section):
    if table := section.table:
        return f"{section.heading} ({table.caption})\n{format_table(table.columns, table.rows)}"
    return "" if section.pictures else f"{section.heading}\n{section.text}"


def _write(subject, content):
    write_json(subject.folder / "evaluation.json", content)
    title = f"Evaluation of {subject.run.folder.resolve().name}"
    save_page(subject.folder / "report.html", title, sections_of(content, subject.folder))


def _former(subject, announce):
    """What evaluation.json says already about this model and these data, or a new beginning."""
    about = {"format": FORMAT, "model": _identities(subject.hierarchy), "data": _data(subject)}
    empty = {**about, "evaluations": {}, "seconds": {}, "options": {}}
    path = subject.folder / "evaluation.json"
    try:
        former = read_json(path, _REMEDY)
    except MissingError:
        return empty
    if former.get("format") != FORMAT:
        raise InputError(f"{path} is no evaluation of vqv2: choose another folder with --out")
    check_json(former, _CONTENT, path, _REMEDY)
    if {name: former.get(name) for name in about} != about:
        announce(f"{path} is about another model or other images: its figures are replaced")
        return empty
    known = {name: f for name, f in former["evaluations"].items() if name in EVALUATIONS}
    return {**former, "evaluations": known}


def _identities(hierarchy):
    """What tells this hierarchy from another, by part."""
    return {"autoencoder": hierarchy.identity, **hierarchy.prior_identities}


def _data(subject):
    return {
        split: {"name": source.name, "images": len(source), "identity": source.identity}
        for split, source in subject.sources.items()
    }


def _options(subject):
    """The options as JSON; networks by their names."""
    return {**vars(subject.options), "networks": [network.name for network in subject.networks]}
