"""Both stages in all precisions, encoding and sampling, tiny: every kernel runs once.

Also what a sanitizer watches: `--scale tiny` there means without a memory pool, in which an access
beyond an array meets another one.
"""

from tests.gpu import dry_run


def measure(report, scale):
    """`dry_run.run_everything` on the real device."""
    report.tried("everything", lambda: {"stages": len(dry_run.run_everything())})
