"""What the log of a training says about held-out data."""

from vqv2.run.log import read_log


def held_out_losses(folder):
    """{step: held-out loss} from a training folder's log, in order."""
    lines = read_log(folder / "log.jsonl")
    return {line["step"]: line["loss"] for line in lines if line.get("split") == "held_out"}
