"""Processes that share work agree on what it is: data, seed, configuration, versions.

One that reads a stale copy of the images, or was given another seed, would go unnoticed: gradients
are averaged over all processes, so the weights stay equal and learn from a mixture. That is why
everyone says at the start what it is about to do, and all compare it with what process 0 says.
"""

import hashlib
import json

import numpy as np

import backends
from backends import array_module, to_host
from vqv2.errors import InputError
from vqv2.version import __version__

SHOWN = 66  # characters of a value in a sentence: a checksum; of what is longer, its beginning


def check_agreement(communicator, facts):
    """Raise `InputError`, the same one in all processes, unless all have the same facts.

    `facts` is a function that returns {name: what JSON can hold}; the versions of vqv2 and NumPy
    and the backend are looked at besides. All processes of the `communicator` call this together,
    before anything else that they do together. One process alone agrees with itself, at no cost.
    """
    if communicator.size == 1:
        return
    text = json.dumps({**_program(), **facts()})
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    digests = communicator.all_gather(digest)
    if (digests == digests[0]).all():
        return
    first, *others = [json.loads(one) for one in _gathered(text, communicator)]
    for rank, facts_there in enumerate(others, 1):
        for name in {**first, **facts_there}:
            here, there = first.get(name), facts_there.get(name)
            if here != there:
                raise InputError(
                    f"process {rank} of {communicator.size} has another {name} than process 0, "
                    f"{_shown(there)} instead of {_shown(here)}: the processes must be given the "
                    "same, and find the same files and versions on all machines"
                )


def images_facts(sources):
    """The facts about {split: ImageSource}."""
    return {
        f"{about} of {split.replace('_', ' ')} images": value
        for split, source in sources.items()
        for about, value in (("number", len(source)), ("checksum", source.identity))
    }


def fingerprint(model):
    """What tells a `Module`'s parameters and buffers from others, without copying them."""
    arrays = {name: one.array for name, one in model.parameters().items()} | model.buffers()
    sums = {name: (array.shape, sum_of_bits(array)) for name, array in arrays.items()}
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def sum_of_bits(array):
    """The sum of all bits of an array, taken as whole numbers, modulo 2^64."""
    xp = array_module(array)
    words = xp.ascontiguousarray(array).reshape(-1).view(xp.uint8)
    kind = xp.uint32 if array.dtype.itemsize % 4 == 0 else xp.uint8
    return int(to_host(words.view(kind).sum(dtype=xp.uint64)))


def _program():
    return {
        "version of vqv2": __version__,
        "version of NumPy": np.__version__,
        "backend": backends.current(),
    }


def _gathered(text, communicator):
    """[every process's text] in the order of ranks."""
    own = np.frombuffer(text.encode(), np.uint8)
    lengths = communicator.all_gather(np.array([own.size])).reshape(-1)
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: own.size] = own
    rows = communicator.all_gather(padded)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def _shown(value):
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= SHOWN:
        return text
    return f"{text[: SHOWN // 2]}... ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
