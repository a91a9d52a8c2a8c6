"""The keys that an identity provider publishes at a URL. They are fetched on demand, at a limited rate, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_realtime.auth.jwks_fetch import Fetch, Keys, PublishedKey
from asgi_realtime.runtime import time_source

_STALE_SECONDS = 24 * 3600.0
"""For so long after `ttl`, a known key is still used at once, while the set is fetched in the background."""


class JWKS:
    """A JSON Web Key Set (RFC 7517) at a URL, cached by one process.

    At most one fetch runs at a time, and all callers wait for the same one. The next fetch begins at the earliest
    `cooldown` seconds after the last began, also if that failed. A fetch ends within `timeout` seconds, even if the
    provider sends its answer byte by byte. If a fetch fails, the old keys stay valid. If a known key is older than
    `ttl`, it is used at once, and the set is fetched in the background.
    """

    def __init__(
        self,
        url: str,
        *,
        cooldown: float,
        timeout: float,
        ttl: float,
        clock: Callable[[], float] = time_source.read_monotonic,
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

    async def find(self, kid: str | None) -> tuple[PublishedKey, ...] | None:
        """The keys with this id, or None. `kid` None stands for those without an id, or for the only id.

        Waits for a fetch, at most `timeout` seconds, if there is none (or a day older than `ttl`) and the
        cool-down allows a fetch.
        """
        found = self._lookup(kid)
        age = self._clock() - self._fresh_until
        if found is not None and age < 0:
            return found
        fetch = self._begin()
        if fetch is not None and (found is None or age >= _STALE_SECONDS):
            # `wait` does not cancel the fetch if one of its callers is cancelled.
            await asyncio.wait({fetch})
            found = self._lookup(kid)
        return found

    def _lookup(self, kid: str | None) -> tuple[PublishedKey, ...] | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _begin(self) -> asyncio.Future[Keys | None] | None:
        """The running fetch. One is started if the cool-down allows it. None: there is none."""
        loop = asyncio.get_running_loop()
        if self._fetch is not None:
            if self._fetch.get_loop() is loop:
                return self._fetch
            # Its event loop has stopped (tests use several loops), so its result will never arrive.
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
