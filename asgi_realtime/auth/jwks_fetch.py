"""One fetch of published keys. It ends within its timeout, whatever the provider does."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jwt

from asgi_realtime.auth.keys import PublicKey, algorithms_of, is_too_short

logger = logging.getLogger("asgi_realtime")

_LARGEST_ANSWER = 1_000_000
_LONGEST_REASON = 200
"""Most characters of an error that are logged. An error may quote what the provider sent."""


class PublishedKey(NamedTuple):
    """A key and its algorithms: the one in its `alg`, else all that this kind of key supports."""

    key: PublicKey
    algorithms: tuple[str, ...]


Keys: TypeAlias = dict[str | None, tuple[PublishedKey, ...]]
"""The keys by their ids. Several may have the same id, or none (RFC 7517, section 4.5)."""


class Fetch:
    """Fetches a key set in its own thread, because the standard library's client blocks.

    A socket's timeout applies to each read. So a server that sends its headers byte by byte, or `100 Continue` again
    and again, would never time out. Therefore the connection is closed after `timeout` seconds. The result is None at
    that time, even if the thread is blocked elsewhere, such as in a DNS lookup. The thread is a daemon, so it does not
    keep the process from ending.
    """

    def __init__(self, url: str, timeout: float, *, on_failure: Callable[[str], None] | None = None) -> None:
        """`on_failure` is called with the reason, in any thread, before the result is None. None: it is logged."""
        self._url = url
        self._timeout = timeout
        self._on_failure = on_failure or _warn
        self._connections: list[http.client.HTTPConnection] = []
        self._timed_out = False

    def start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Keys | None]:
        """Begin. The future's result is the keys. None: the fetch failed; see `on_failure`."""
        result: asyncio.Future[Keys | None] = loop.create_future()
        deadline = loop.call_later(self._timeout, self._give_up, result)

        def deliver(keys: Keys | None) -> None:
            deadline.cancel()
            if not result.done():
                result.set_result(keys)

        def work() -> None:
            keys = self._run()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(deliver, keys)

        threading.Thread(target=work, name="asgi_realtime JWKS", daemon=True).start()
        return result

    def _give_up(self, result: asyncio.Future[Keys | None]) -> None:
        self._timed_out = True
        self._on_failure(f"no complete answer within {self._timeout} s")
        for connection in self._connections:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        result.set_result(None)

    # In the thread

    def _run(self) -> Keys | None:
        try:
            keys = _parse(json.loads(self._download()))
            if not keys:
                raise ValueError("it has no key that can verify signatures")
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            if not self._timed_out:
                self._on_failure(f"{type(error).__name__}: {str(error)[:_LONGEST_REASON]}")
            return None
        return keys

    def _download(self) -> bytes:
        opener = urllib.request.build_opener(
            _RefuseRedirects, _HTTPHandler(self._on_connection), _HTTPSHandler(self._on_connection)
        )
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        try:
            with opener.open(self._url, timeout=self._timeout) as response:
                while chunk := response.read1(65_536):
                    body += chunk
                    if len(body) > _LARGEST_ANSWER:
                        raise ValueError(f"the answer is larger than {_LARGEST_ANSWER} bytes")
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"the answer took longer than {self._timeout} s")
        except urllib.error.HTTPError as error:
            error.close()
            raise
        return bytes(body)

    def _on_connection(self, connection: http.client.HTTPConnection) -> None:
        self._connections.append(connection)


def _warn(why: str) -> None:
    logger.warning("fetching MEW_JWKS_URL failed, the old keys are kept: %s", why)


def _parse(document: Any) -> Keys:
    """The usable keys of a set by their ids. Keys of another kind or use are ignored (RFC 7517, section 5)."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("the answer is not a JSON Web Key Set")
    keys: Keys = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        try:
            key = jwt.PyJWK(entry).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        # A published symmetric key ("oct") is not secret, so only public keys are accepted.
        if not isinstance(key, PublicKey) or is_too_short(key) or not (kid is None or isinstance(kid, str)):
            continue
        fitting = algorithms_of(key)
        stated = entry.get("alg")
        algorithms = tuple(name for name in fitting if stated is None or name == stated)
        if algorithms:
            keys[kid] = (*keys.get(kid, ()), PublishedKey(key, algorithms))
    return keys


_OnConnection: TypeAlias = Callable[[http.client.HTTPConnection], None]


class _HTTPHandler(urllib.request.HTTPHandler):
    """Reports each HTTP connection, so that it can be closed from outside."""

    def __init__(self, on_connection: _OnConnection) -> None:
        super().__init__()
        self._on_connection = on_connection

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an `http` address."""
        return self.do_open(self._connect, request)

    def _connect(self, host: str, **options: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, **options)
        self._on_connection(connection)
        return connection


class _HTTPSHandler(urllib.request.HTTPSHandler):
    """The same for HTTPS."""

    def __init__(self, on_connection: _OnConnection) -> None:
        super().__init__()
        self._on_connection = on_connection

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an `https` address."""
        return self.do_open(self._connect, request)

    def _connect(self, host: str, **options: Any) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(host, **options)
        self._on_connection(connection)
        return connection


class _RefuseRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: keys are accepted only from the configured URL."""

    def redirect_request(self, *_: Any) -> None:
        """Do not follow. urllib then raises the redirect as an HTTP error."""
