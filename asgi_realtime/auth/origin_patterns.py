"""Origins (RFC 6454), and the three ways to configure them: exactly, by pattern, or by regular expression."""

from __future__ import annotations

import ipaddress
import re
import time
from typing import Final, NamedTuple

MAX_CHARACTERS: Final = 300
"""A longer `Origin` is invalid: a host name has at most 253 characters. This bounds the cost of regular expressions."""

WEB_PORTS: Final = {"http": 80, "https": 443}
"""The schemes of web pages, and their default ports."""

SPECIAL_ORIGINS: Final = frozenset({"*", "null"})
"""Values that are allowed beside origins and patterns: `*`, any origin, and `null`, the origin of sandboxed pages."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\x00-\x20\x7f\s/\\?#@:,*\[\]]*)(?::([0-9]{0,5}))?")
_IPV4 = re.compile(r"[0-9.]+")
_ANY_HOST = ""


class Origin(NamedTuple):
    """An origin in the form in which RFC 6454 compares it: lower case, explicit port, shortest IPv6 form."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Parse a serialised origin. Returns None for `null` and for any text that is not exactly an origin.

        Origins of apps may have no host: `file://`, `app://`.
        """
        match = _ORIGIN.fullmatch(text.lower()) if len(text) <= MAX_CHARACTERS else None
        if match is None:
            return None
        scheme, host, digits = match.groups()
        if not host and (digits is not None or scheme in ("http", "https", "ws", "wss")):
            return None
        port = int(digits) if digits else WEB_PORTS.get(scheme)
        try:
            if host.startswith("["):
                host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
            elif not host.isascii():
                host = host.encode("idna").decode("ascii")  # browsers send the ASCII form
        except ValueError:
            return None
        if port is not None and port > 65535:
            return None
        return cls(scheme, host, port)

    def __str__(self) -> str:
        """The origin as a browser writes it."""
        port = "" if self.port in (None, WEB_PORTS.get(self.scheme)) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def names_one_app(self) -> bool:
        """Whether it identifies one application. `file://` does not: it is the origin of any file that a user opens."""
        return self.scheme != "file"


class OriginPattern(NamedTuple):
    """Origins by host or port: `https://*.example.com` (any number of labels, at least one), `http://localhost:*`."""

    scheme: str
    host: str
    """The host. With a leading dot: the end of the host. Empty: any host."""
    port: int | None
    any_port: bool

    def matches(self, origin: Origin) -> bool:
        """Whether this origin matches."""
        if origin.scheme != self.scheme or not (self.any_port or origin.port == self.port):
            return False
        if self.host.startswith("."):
            return origin.host.endswith(self.host) and len(origin.host) > len(self.host)
        return not self.host or origin.host == self.host

    @property
    def is_broad(self) -> bool:
        """Whether anyone can own such an origin: `https://*`, or any host of a top-level domain, `https://*.com`."""
        if self.host.startswith("."):
            return "." not in self.host[1:] and self.host != ".localhost"
        return not self.host


def read_origin(text: str) -> Origin | OriginPattern:
    """Parse an origin or a pattern of the configuration. `null` and `*` are not accepted.

    Raises:
        ValueError: the message says what to write.
    """
    scheme, _, rest = text.lower().partition("://")
    rest = rest.removesuffix("/")
    any_port = rest.endswith(":*")
    rest = rest.removesuffix(":*")
    any_host = rest == "*" or rest.startswith("*:")
    below = rest.startswith("*.")
    origin = Origin.parse(f"{scheme}://{'any' + rest[1:] if any_host else rest.removeprefix('*.')}")
    if origin is None or "://" not in text or (below and (not origin.host or _is_address(origin.host))):
        hint = "; for other patterns use MEW_CORS_ORIGIN_REGEX" if "*" in text else ""
        raise ValueError(
            f"{text!r} is not an origin; write scheme and host, such as https://app.example.com, "
            f"https://*.example.com or http://localhost:*{hint}"
        )
    if not (any_port or any_host or below):
        return origin
    host = _ANY_HOST if any_host else f".{origin.host}" if below else origin.host
    return OriginPattern(scheme, host, origin.port, any_port)


def _is_address(host: str) -> bool:
    return host.startswith(("[", ".")) or bool(_IPV4.fullmatch(host))


# Regular expressions

_LONGEST_MATCH: Final = 0.01
"""Seconds of processor time that matching one origin may take."""
_REPEATED: Final = ("a", "1", "a.", "a-", "aa.", "a1-")
_UNRELATED: Final = "kq7xw2"
"""A host name that matches only expressions that accept any name."""


def read_regex(text: str) -> re.Pattern[str]:
    """Compile a regular expression that is matched against whole origins.

    Raises:
        ValueError: it is not valid, or it may backtrack for so long that a client could stop the server.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    if any(map(lambda sample: _takes_long(pattern, sample), _hard_samples(text))):
        raise ValueError(
            f"{text!r} takes exponential time for some origins, so that a client could stop the server; "
            r"write it without a repetition inside of a repetition, such as https://[a-z0-9-]+\.example\.com"
        )
    return pattern


def _hard_samples(text: str) -> list[str]:
    """Origins that an expression almost matches, short ones first: a long one might never return."""
    literal = re.match(r"\^?((?:[\w:/-]|\\\W)*)", text)
    beginnings = dict.fromkeys(["https://", "http://", literal[1].replace("\\", "") if literal else ""])
    lengths = (*range(8, 33, 2), 64, 128, MAX_CHARACTERS - 20)
    return [
        beginning + (repeated * length)[:length] + "!"
        for length in lengths
        for beginning in beginnings
        for repeated in _REPEATED
    ]


def _takes_long(pattern: re.Pattern[str], sample: str) -> bool:
    # Three tries: other work may have slowed down one of them.
    for _ in range(3):
        before = time.thread_time()
        pattern.fullmatch(sample)
        if time.thread_time() - before < _LONGEST_MATCH:
            return False
    return True


def is_broad(pattern: re.Pattern[str]) -> bool:
    """Whether an expression matches origins that anyone can own: any host, or any host with the same ending."""
    end = re.search(r"\.([a-z]+)\)?\$?$", pattern.pattern)
    ends = ("com", "net", "example", "co.uk", end[1] if end else "org")
    unrelated = [f"https://{_UNRELATED}.{end}" for end in ends]
    tail = re.search(r"([a-z0-9-]+)\\?\.([a-z]+)\)?\$?$", pattern.pattern)
    if tail is not None:
        unrelated += [f"https://{_UNRELATED}{tail[1]}.{tail[2]}", f"https://{_UNRELATED}-{tail[1]}.{tail[2]}"]
    return any(pattern.fullmatch(each) for each in (*unrelated, unrelated[0].replace("https", "http")))
