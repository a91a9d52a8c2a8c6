"""The keys an identity provider publishes at a URL: fetched when needed, kept, and never fetched in a storm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from asgi_realtime.auth.jwks_fetch import Fetch, Keys, PublishedKey

_STALE_SECONDS = 24 * 3600.0
"""A key that is older than `ttl` by less than this serves at once, and the set is fetched behind it."""


class JWKS:
    """A JSON Web Key Set (RFC 7517) behind a URL, as one process sees it.

    At most one fetch is under way, and all that need it wait for that one; the next begins
    `cooldown` seconds after the last began, whatever came of it. A fetch ends within `timeout`
    seconds, also where the provider sends its answer byte by byte. One that fails leaves the old
    keys in force. A known key never waits: if it is older than `ttl`, the set is fetched behind it.
    """

    def __init__(
        self, url: str, *, cooldown: float, timeout: float, ttl: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._cooldown = cooldown
        self._timeout = timeout
        self._ttl = ttl
        self._clock = clock
        self._keys: Keys = {}
        self._fresh_until = float("-inf")
        self._next_fetch = float("-inf")
        self._fetch: asyncio.Future[Keys | None] | None = None

    async def find(self, kid: str | None) -> PublishedKey | None:
        """The key of this id, or None. A token without an id means the only key there is.

        Waits for a fetch, at most `timeout` seconds, when the key is unknown (or is a day older
        than `ttl`) and the cool-down permits a fetch.
        """
        found = self._lookup(kid)
        age = self._clock() - self._fresh_until
        if found is not None and age < 0:
            return found
        fetch = self._begin()
        if fetch is not None and (found is None or age >= _STALE_SECONDS):
            # `wait` leaves the fetch alone when one of those who wait for it is cancelled.
            await asyncio.wait({fetch})
            found = self._lookup(kid)
        return found

    def _lookup(self, kid: str | None) -> PublishedKey | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return None if kid is None else self._keys.get(kid)

    def _begin(self) -> asyncio.Future[Keys | None] | None:
        """The fetch that is under way, begun now if the cool-down permits; None: there is none."""
        loop = asyncio.get_running_loop()
        if self._fetch is not None:
            if self._fetch.get_loop() is loop:
                return self._fetch
            # Its event loop has stopped (tests have a loop each): what it fetched arrives nowhere.
            self._fetch, self._next_fetch = None, float("-inf")
        now = self._clock()
        if now < self._next_fetch:
            return None
        self._next_fetch = now + self._cooldown
        self._fetch = Fetch(self._url, self._timeout).start(loop)
        self._fetch.add_done_callback(self._ended)
        return self._fetch

    def _ended(self, fetch: asyncio.Future[Keys | None]) -> None:
        if self._fetch is fetch:
            self._fetch = None
            keys = fetch.result()
            if keys is not None:
                self._keys = keys
                self._fresh_until = self._clock() + self._ttl
