"""What is looked at in an image file beside its decoder, and what bounds the decoder's work.

A header may have millions of letters of comments, markers, blocks or tags, each of which Pillow
reads, and makes an object of, in Python: seconds or minutes for a few megabytes. So reads are
counted, and the tags of a TIFF's or EXIF's directory, which are read at once, are looked at before.
"""

import io
import os
import struct

READS_OF_A_HEADER = 2**14  # each may be a letter, a chunk, a marker, a block
READS_OF_PIXELS = 2**20  # beyond that; of 8 kB and more, in general
MOST_TAGS = 4096  # of a TIFF: the standard has some hundreds

# How a complete file ends, for the formats that say so.
_ENDINGS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "GIF": b";"}
_PNG_SIGNATURE_LENGTH = 8
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
_EXIF = b"Exif\0\0"
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"  # the markers SOC and SIZ, with which a codestream begins
_JPEG2000_PRECISION = 38  # bytes after these: of the first component
_JPEG2000_HEADERS = 2**16  # bytes that are searched for them


class BusyDecoder(ValueError):
    """A file of which a decoder reads too many small pieces; the message is the reason."""


class BoundedFile:
    """An open file for a decoder, of which it may read `left` times, however much each time."""

    def __init__(self, file):
        self._file = file
        self.left = READS_OF_A_HEADER

    def read(self, *count):
        """As the file's. Raises `BusyDecoder`."""
        self.left -= 1
        if self.left < 0:
            raise BusyDecoder("it is made of too many small pieces, more than a picture has")
        return self._file.read(*count)

    def __getattr__(self, name):
        return getattr(self._file, name)


def problem(file):
    """Why an open image file should not be given to a decoder; "" for no reason."""
    if not os.fstat(file.fileno()).st_size:
        return "the file is empty (zero bytes)"
    return tags_problem(file)


def exif_problem(block):
    """Why an EXIF block, bytes, should not be looked into; "" for no reason."""
    return tags_problem(io.BytesIO(block.removeprefix(_EXIF)))


def tags_problem(file):
    """Why a TIFF, or an EXIF block, has too many tags; "" where it has not, or is neither."""
    begins = _beginning(file, 16)
    if begins[:4] not in _TIFF:
        return ""
    order, is_big = "<" if begins[:1] == b"I" else ">", b"+" in begins[:4]
    start, number = (8, "Q") if is_big else (4, "I")
    place = struct.unpack_from(order + number, begins.ljust(16, b"\0"), start)[0]
    count = _number_at(file, place, order + ("Q" if is_big else "H"))
    return f"it has {count} tags, more than {MOST_TAGS}" if count > MOST_TAGS else ""


def _number_at(file, place, code):
    """A number in a file, as `struct` reads it; 0 beyond the end."""
    size = struct.calcsize(code)
    if place > 2**62:
        return 0
    file.seek(place)
    return struct.unpack(code, file.read(size).ljust(size, b"\0"))[0]


def is_tiff(file):
    """Whether an open file begins like a TIFF."""
    return _beginning(file, 4) in _TIFF


def is_complete(file, file_format):
    """Whether an open file ends as its format does, as far as that says how."""
    ending = _ENDINGS.get(file_format, b"")
    file.seek(-len(ending), 2)
    return file.read() == ending


def png_significant_bits(file):
    """The least number of significant bits that a PNG's sBIT chunk names; None without one.

    So it is for a number that no PNG can have. The open file stays at the place where it is.
    """
    here, place, found = file.tell(), _PNG_SIGNATURE_LENGTH, None
    while found is None:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"sBIT":
            found = min(file.read(min(length, 4)), default=None)
        if kind in (b"IDAT", b"PLTE", b"IEND"):  # sBIT comes before these
            break
        place += length + 12
    file.seek(here)
    return found if found in range(1, 17) else None


def jpeg2000_bits(file):
    """The number of bits of a JPEG 2000's first component; None where its header is not found.

    The open file stays at the place where it is.
    """
    here = file.tell()
    _, found, size = _beginning(file, _JPEG2000_HEADERS).partition(_JPEG2000_SIZE)
    file.seek(here)
    precision = size[_JPEG2000_PRECISION : _JPEG2000_PRECISION + 1]
    return (precision[0] & 0x7F) + 1 if precision else None


def _beginning(file, count):
    file.seek(0)
    return file.read(count)
