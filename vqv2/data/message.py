"""Python objects through a pipe, from one process to another; arrays without a copy on the way."""

import pickle
import struct

_NUMBER = struct.Struct("<Q")


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
