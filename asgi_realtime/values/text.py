"""Text that may contain half a surrogate pair.

JavaScript cuts strings between UTF-16 code units. A string that is cut in the middle of an emoji ends with half a
surrogate pair, which UTF-8 cannot carry. In text that is sent or received the half becomes U+FFFD, the replacement
character. An id with such a half is refused, because two ids must not become one.
"""

from __future__ import annotations


def repair(text: str) -> str:
    """Replace each unpaired half of a surrogate pair by U+FFFD, and join two halves that are a pair."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repaired(text: str) -> str:
    """The text itself if UTF-8 can encode it, else the result of `repair`."""
    return text if is_whole(text) else repair(text)


def is_longer(text: str, limit: int) -> bool:
    """Whether the text has more than `limit` bytes in UTF-8."""
    size = len(text)
    # A character has at most four bytes.
    return size > limit or (
        4 * size > limit and not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limit
    )


def is_whole(text: str) -> bool:
    """Whether UTF-8 can encode the text."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
