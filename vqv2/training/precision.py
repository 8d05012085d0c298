"""Training in the precision of its configuration."""

import functools

import backends


def in_its_precision(train):
    """Decorator of `train(task, ...)`: products inside have the precision of `task.config`."""

    @functools.wraps(train)
    def function(task, *arguments, **keywords):
        with backends.use(precision=task.config.precision):
            return train(task, *arguments, **keywords)

    return function
