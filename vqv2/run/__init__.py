"""A run folder: the only code that opens the files of a run.

folder.py      the folder: configurations, models with their trained weights
checkpoint.py  what training leaves of a stage, written atomically and sealed
codes.py       the store of extracted codes; code_writing.py: how it comes about
log.py         what was said of a training
lock.py        one process at a time
rules.py       who may begin, resume or replace what
compact.py     a small run of what is only to be used
pretrained.py  runs that come with vqv2, and how a run is found
doctor.py      what state a run is in, and what to do next
"""

from vqv2.run.folder import (
    Run,
    build_prior,
    is_run,
    read_stage,
    stage_config,
    write_stage,
)

__all__ = [
    "Run",
    "build_prior",
    "is_run",
    "read_stage",
    "stage_config",
    "write_stage",
]
