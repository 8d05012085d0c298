"""What is read of an image file before a decoder is: what would keep one busy is refused here.

Pillow reads a PPM's comments letter by letter, and makes an object of each tag of a TIFF; both may
be millions. It does not tell which bits of a PNG's samples are significant either.
"""

import os
import re
import struct

LONGEST_PPM_HEADER = 2**16  # bytes, with its comments
MOST_TIFF_TAGS = 4096  # the standard has some hundreds

# How a complete file ends, for the formats that say so.
_ENDINGS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "GIF": b";"}
_PNG_SIGNATURE_LENGTH = 8
_TIFF = (b"II*\0", b"MM\0*")
_COMMENT = re.compile(rb"#[^\r\n]*(?:[\r\n]|\Z)")


def problem(file):
    """Why an open image file should not be given to a decoder; "" for no reason."""
    if not os.fstat(file.fileno()).st_size:
        return "the file is empty (zero bytes)"
    begins = _beginning(file, 4)
    if begins[:1] == b"P" and begins[1:2] in b"123456":
        return _ppm_problem(_beginning(file, LONGEST_PPM_HEADER))
    if begins in _TIFF:
        return _tiff_problem(file, "<" if begins[:1] == b"I" else ">")
    return ""


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

    The open file stays at the place where it is.
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
    return found


def _beginning(file, count):
    file.seek(0)
    return file.read(count)


def _ppm_problem(beginning):
    """Width, height and the largest value, with comments between them, end before the pixels."""
    words = len(_COMMENT.sub(b" ", beginning).split(maxsplit=4))
    if len(beginning) == LONGEST_PPM_HEADER and words < 5:
        return f"its header is longer than {LONGEST_PPM_HEADER} bytes"
    return ""


def _tiff_problem(file, order):
    place, tags = _beginning(file, 8)[4:], b""
    if len(place) == 4:
        file.seek(struct.unpack(order + "I", place)[0])
        tags = file.read(2)
    count = struct.unpack(order + "H", tags)[0] if len(tags) == 2 else 0
    return f"it has {count} tags, more than {MOST_TIFF_TAGS}" if count > MOST_TIFF_TAGS else ""
