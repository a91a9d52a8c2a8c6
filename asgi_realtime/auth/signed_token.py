"""Reads a signed token in its compact form (RFC 7515, section 7.1), and verifies its signature.

PyJWT does the same in four times the time: it examines every character in Python, and prepares the key for each token.
"""

from __future__ import annotations

import hmac
import json
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from typing import Final, NamedTuple

import jwt
from jwt.algorithms import get_default_algorithms

from asgi_realtime.auth.keys import PublicKey
from asgi_realtime.values.json import Json

_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_KEY_PAIRS: Final = get_default_algorithms()
_ALPHABET: Final = bytes.maketrans(b"-_+/", b"+/!!")
"""From base64url to base64. Characters that only base64 has become invalid."""
_PADDING: Final = b"", b"!", b"==", b"="
"""By the length modulo 4. No text has one character more than a multiple of 4."""
_HEADERS: Final = 64
"""Most headers that are kept: the tokens of one issuer and key have the same header."""
_HEADER_BYTES: Final = 512
"""Longest header that is kept."""


class Header(NamedTuple):
    """What a token says about its signature. Not verified."""

    algorithm: str
    key_id: str | None


class SignedToken(NamedTuple):
    """A token taken apart. Not verified."""

    header: Header
    signed: bytes
    """What is signed."""
    payload: bytes
    """The claims as JSON."""
    signature: bytes

    def verify(self, key: bytes | PublicKey) -> None:
        """Verify the signature by a secret or a public key.

        The caller has checked that the algorithm in the header is one of this kind of key.

        Raises:
            InvalidSignatureError: it is not by this key.
            InvalidKeyError: the algorithm does not take this key.
        """
        name = self.header.algorithm
        if isinstance(key, bytes):
            digest = _HASHES.get(name)
            if digest is None:
                raise jwt.InvalidKeyError
            good = hmac.compare_digest(hmac.digest(key, self.signed, digest), self.signature)
        else:
            algorithm = _KEY_PAIRS[name]
            good = algorithm.verify(self.signed, algorithm.prepare_key(key), self.signature)
        if not good:
            raise jwt.InvalidSignatureError


class TokenReader:
    """Takes tokens apart. It keeps the last headers, in a bounded number."""

    __slots__ = ("_headers",)

    def __init__(self) -> None:
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    @property
    def kept_headers(self) -> int:
        """How many headers are kept."""
        return len(self._headers)

    def read(self, token: str) -> SignedToken:
        """Take a token apart.

        Raises:
            DecodeError: it is no signed token.
            InvalidAlgorithmError: its header names no algorithm.
            ValueError: text that is not UTF-8, base64url or JSON.
            RecursionError: its header is nested too deep.
        """
        raw = token.encode()
        signed, _, signature = raw.rpartition(b".")
        first, dot, payload = signed.partition(b".")
        if not dot:
            raise jwt.DecodeError
        header = self._headers.get(first)
        if header is None:
            header = _header(json.loads(_decode(first)))
            if len(first) <= _HEADER_BYTES:
                if len(self._headers) >= _HEADERS:
                    self._headers.popitem(last=False)
                self._headers[first] = header
        return SignedToken(header, signed, _decode(payload), _decode(signature))


def _header(header: Json) -> Header:
    if not isinstance(header, dict):
        raise jwt.DecodeError
    if "crit" in header or header.get("b64", True) is not True:
        raise jwt.DecodeError  # extensions that a receiver must understand (RFC 7515, section 4.1.11)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise jwt.InvalidAlgorithmError
    if not isinstance(key_id, str) and "kid" in header:
        raise jwt.DecodeError
    return Header(algorithm, key_id if isinstance(key_id, str) else None)


def _decode(segment: bytes) -> bytes:
    """Decode base64url. Only one text is accepted for the same bytes, with or without padding."""
    text = segment.translate(_ALPHABET)
    if not text.endswith(b"="):
        text += _PADDING[len(text) & 3]
    decoded = a2b_base64(text, strict_mode=True)
    if b2a_base64(decoded, newline=False) != text:
        raise jwt.DecodeError
    return decoded
