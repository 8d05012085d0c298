"""The one exception that means "the input is wrong", as opposed to "the program is wrong"."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence for a person: what was wrong, where (file, field, shape), and
    what to do about it. The command line prints it and exits with status 2; a program that
    calls the library catches it like any `ValueError`.
    """


class MissingError(InputError):
    """A file that is not there."""


class DamagedError(InputError):
    """A file whose contents are not what was written, or that is something else."""
