"""Python objects through a pipe, from one process to another; arrays without a copy on the way."""

import pickle
import select
import struct

PLACE = _NUMBER = struct.Struct("<Q")


def await_message(stream, seconds):
    """Return when `stream`, of which everything has been received, has more, or is at its end.

    Raises `TimeoutError` when it has not after so many seconds. Where the system cannot wait like
    that (Windows) it returns at once.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        if not poll.poll(1000 * seconds):
            raise TimeoutError(f"nothing came for {seconds} s")


def send(stream, value):
    """Write `value` to a binary stream. Nothing is written when it cannot be pickled."""
    buffers = []
    text = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(text), *(buffer.raw() for buffer in buffers)]
    stream.write(b"".join(map(_NUMBER.pack, (len(parts), *map(len, parts)))))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream):
    """The value that was sent into the other end. Raises `EOFError` when there is no more."""
    lengths = [_number(stream) for _ in range(_number(stream))]
    text, *buffers = [_bytes(stream, length) for length in lengths]
    return pickle.loads(text, buffers=buffers)


def _number(stream):
    return _NUMBER.unpack(_bytes(stream, _NUMBER.size))[0]


def _bytes(stream, length):
    content = bytearray(length)
    if stream.readinto(content) != length:
        raise EOFError("the other process is gone")
    return content
