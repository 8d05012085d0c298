"""Both stages in all precisions, encoding and sampling, tiny: every kernel runs once."""

from tests.gpu import dry_run


def measure(report, scale):
    """`dry_run.run_everything`, on the device that is selected."""
    report.tried("everything", lambda: {"stages": len(dry_run.run_everything())})
