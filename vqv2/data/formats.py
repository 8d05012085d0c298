"""Which kinds of image files are read: those that the installed Pillow decodes from their contents.

Not all that Pillow opens: formats that run other programs (EPS), draw instructions (WMF), hold no
single picture (PDF, icons) or are read from outside the file are no business of a data set.
"""

import functools

from PIL import features

# {Pillow's name of a format: (endings, what Pillow must have been built with)}. A file's ending
# decides only whether it is looked at: the contents decide what it is.
_FORMATS = {
    "PNG": ((".png", ".apng"), None),
    "JPEG": ((".jpg", ".jpeg", ".jpe", ".jfif"), None),
    "WEBP": ((".webp",), "webp"),
    "BMP": ((".bmp", ".dib"), None),
    "DIB": ((), None),
    "GIF": ((".gif",), None),
    "TIFF": ((".tif", ".tiff"), None),
    "PPM": ((".ppm", ".pgm", ".pbm", ".pnm"), None),
    "AVIF": ((".avif",), "avif"),
    "JPEG2000": ((".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"), "jpg_2000"),
    "QOI": ((".qoi",), None),
}
_TGA = (".tga",)  # has no mark of its own: nearly anything could be one, so its name must say so

# Images, too, but read by other programs: to be converted.
OTHER_IMAGES = (".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".eps", ".exr", ".hdr", ".dcm")
OTHER_IMAGES += (".dng", ".cr2", ".nef", ".arw", ".ico")


@functools.cache
def formats():
    """Names, for Pillow, of the formats that it can tell by their contents."""
    return tuple(name for name, (_, needs) in _FORMATS.items() if _is_there(needs))


@functools.cache
def endings():
    """The endings, in small letters, of the names of files that are taken for images."""
    return sum((_FORMATS[name][0] for name in formats()), ()) + _TGA


def formats_of(path):
    """The formats that the file `path` may have."""
    return (*formats(), "TGA") if str(path).lower().endswith(_TGA) else formats()


def _is_there(needs):
    return needs is None or features.check(needs)
