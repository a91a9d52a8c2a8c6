"""One fetch of published keys, which ends in time whatever the other side does."""

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
"""Characters of an error that get into the log: it may quote what the provider sent."""


class PublishedKey(NamedTuple):
    """A key and the algorithms it may be used with: what its `alg` says, else all that fit it."""

    key: PublicKey
    algorithms: tuple[str, ...]


Keys: TypeAlias = dict[str | None, PublishedKey]


class Fetch:
    """Fetches a key set in a thread of its own, because the standard library's client blocks.

    The socket's time-out counts for each read. So a server that sends its header byte by byte, or
    `100 Continue` for ever, would be read for ever: after `timeout` seconds the connection is cut,
    and the result is None at that time even if the thread is held elsewhere, such as in a look-up
    of the host's name. The thread is a daemon: it never keeps the process from ending.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._connections: list[http.client.HTTPConnection] = []
        self._timed_out = False

    def start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Keys | None]:
        """Begin. The result is the keys, or None with a line in the log when there are none to be had."""
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
        _warn(f"no whole answer within {self._timeout} s")
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
                raise ValueError("no key that signatures can be verified with")
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            if not self._timed_out:
                _warn(f"{type(error).__name__}: {str(error)[:_LONGEST_REASON]}")
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
    logger.warning("fetching MEW_JWKS_URL failed, the keys stay as they were: %s", why)


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


_OnConnection: TypeAlias = Callable[[http.client.HTTPConnection], None]


class _HTTPHandler(urllib.request.HTTPHandler):
    """Tells of each connection, so that it can be cut."""

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
    """The same under TLS."""

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
    """Keys come from the configured address or not at all."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the redirect is raised as the HTTP error it then is."""
