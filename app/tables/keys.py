"""Where in a table which value lies.

Keys sort as bytes: of one size and dimension, windows lie in the order of their starts.

    p                                      progress: how far the partition is counted
    t                                      the totals over everything
    s | number of a page                   what its records counted, for de-duplication
    w | size | dimension | start | key     a window's tally
"""

import struct
from enum import IntEnum

PROGRESS = b"p"
TOTALS = b"t"

_SEEN = struct.Struct(">cQ")
_WINDOW = struct.Struct(">cIBQ")
# Where a window's key holds its dimension.
BY_AT = 5
OFFSET_MAX = (1 << 63) - 1
# Event times may lie before 1970; as unsigned numbers they must sort all the same.
_BIAS = 1 << 62


class By(IntEnum):
    """The dimension that a window's tallies are kept by."""

    NONE = 0
    COUNTRY = 1
    PRODUCT = 2
    MOVIE = 3
    USER = 4
    ACTION = 5


def seen(page: int) -> bytes:
    """Of a page of what was counted, by its number."""
    return _SEEN.pack(b"s", page)


def seen_page(key: bytes) -> int:
    """The number of a key made by `seen`."""
    page: int = _SEEN.unpack(key)[1]
    return page


def window(size: int, by: By, start: int, key: str = "") -> bytes:
    """Of a window: `size` and `start` in seconds (since the epoch)."""
    return _WINDOW.pack(b"w", size, by, start + _BIAS) + key.encode()


def parse_window(key: bytes) -> tuple[int, str]:
    """Start and key of a window made by `window`."""
    _, _, _, biased = _WINDOW.unpack_from(key)
    return biased - _BIAS, key[_WINDOW.size :].decode()
