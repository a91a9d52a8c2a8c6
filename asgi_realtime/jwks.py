"""The keys an identity provider publishes at a URL: fetched when needed, kept, and never fetched in a storm."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt

from asgi_realtime.keys import PublicKey, algorithms_of, is_too_short

logger = logging.getLogger("asgi_realtime")

_LARGEST_ANSWER = 1_000_000


class PublishedKey(NamedTuple):
    """A key and the algorithms it may be used with: what its `alg` says, else all that fit it."""

    key: PublicKey
    algorithms: tuple[str, ...]


class JWKS:
    """A JSON Web Key Set (RFC 7517) behind a URL, as one process sees it.

    At most one fetch is under way, and everybody who needs it waits for that one; the next begins
    `cooldown` seconds after the last began, whatever came of it. A fetch that fails leaves the old
    keys in force. The fetch runs in a thread, because nothing in the standard library fetches
    without one.
    """

    def __init__(
        self, url: str, *, cooldown: float, timeout: float, ttl: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._cooldown = cooldown
        self._timeout = timeout
        self._ttl = ttl
        self._clock = clock
        self._keys: dict[str | None, PublishedKey] = {}
        self._fresh_until = float("-inf")
        self._next_fetch = float("-inf")
        self._fetch: asyncio.Future[dict[str | None, PublishedKey] | None] | None = None

    async def find(self, kid: str | None) -> PublishedKey | None:
        """The key of this id, or None. A token without an id means the only key there is.

        Waits for a fetch, at most `timeout` seconds, when the key is unknown or the set is older
        than `ttl`, and the cool-down permits it.
        """
        self._take()
        found = self._lookup(kid)
        if found is None or self._clock() >= self._fresh_until:
            await self._refresh()
            found = self._lookup(kid)
        return found

    def _lookup(self, kid: str | None) -> PublishedKey | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return None if kid is None else self._keys.get(kid)

    async def _refresh(self) -> None:
        if self._fetch is None:
            now = self._clock()
            if now < self._next_fetch:
                return
            self._next_fetch = now + self._cooldown
            self._fetch = asyncio.get_running_loop().run_in_executor(None, _fetch, self._url, self._timeout)
        # `wait` leaves the fetch alone when one of those who wait for it is cancelled.
        await asyncio.wait({self._fetch}, timeout=self._timeout)
        self._take()

    def _take(self) -> None:
        """Put a finished fetch into force. Called by all who waited; the first one does it."""
        if self._fetch is None:
            return
        if not self._fetch.done():
            if self._fetch.get_loop().is_closed():  # the application was stopped, and started again
                self._fetch = None
            return
        keys = self._fetch.result()
        self._fetch = None
        if keys is not None:
            self._keys = keys
            self._fresh_until = self._clock() + self._ttl


def _fetch(url: str, timeout: float) -> dict[str | None, PublishedKey] | None:
    """Fetch and read the set, in a thread. None, and a line in the log, when that fails."""
    try:
        keys = _parse(json.loads(_download(url, timeout)))
        if not keys:
            raise ValueError("no key that signatures can be verified with")
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        logger.warning("fetching MEW_JWKS_URL failed, the keys stay as they were: %s: %s", type(error).__name__, error)
        return None
    return keys


def _download(url: str, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    body = bytearray()
    try:
        with _OPENER.open(url, timeout=timeout) as response:
            # The socket's time-out is for each read: a server that drips is caught by the deadline.
            while chunk := response.read1(65_536):
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise ValueError(f"the answer is larger than {_LARGEST_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the answer took longer than {timeout} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise
    return bytes(body)


def _parse(document: Any) -> dict[str | None, PublishedKey]:
    """The usable keys of a set by their ids. What is of another kind or use is left out (RFC 7517 section 5)."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("the answer is not a JSON Web Key Set")
    keys: dict[str | None, PublishedKey] = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        try:
            key = jwt.PyJWK(entry).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        # A symmetric key ("oct") that is published is no secret: only public keys count.
        if not isinstance(key, PublicKey) or is_too_short(key) or not (kid is None or isinstance(kid, str)):
            continue
        fitting = algorithms_of(key)
        stated = entry.get("alg")
        algorithms = tuple(name for name in fitting if stated is None or name == stated)
        if algorithms:
            keys[kid] = PublishedKey(key, algorithms)
    return keys


class _RefuseRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from the configured address or not at all."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the redirect is raised as the HTTP error it then is."""


_OPENER = urllib.request.build_opener(_RefuseRedirects)
