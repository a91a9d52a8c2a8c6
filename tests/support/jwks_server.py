"""A real JWKS endpoint on loopback. It counts fetches and can fail as real endpoints do."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

KeyPair = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def jwk(key: KeyPair, kid: str | None, **members: Any) -> dict[str, Any]:
    """The public key as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        entry = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        # PyJWT 2.9 leaves out zero bytes at the beginning of a coordinate, and refuses such keys itself.
        numbers, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
        for name, number in (("x", numbers.x), ("y", numbers.y)):
            entry[name] = base64url_encode(number.to_bytes(size, "big")).decode()
    else:
        entry = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return entry | ({} if kid is None else {"kid": kid}) | members


def sign(key: KeyPair, algorithm: str, claims: Mapping[str, Any], kid: str | None) -> str:
    """A token."""
    return jwt.encode(dict(claims), key, algorithm, headers=None if kid is None else {"kid": kid})


class HangingServer:
    """A provider that sends some bytes and then hangs: `with HangingServer(b"HTTP/1.1 100") as server:`.

    It sends `first`, then the bytes of `drip` one by one, a few a second, repeatedly.
    """

    def __init__(self, first: bytes = b"", drip: bytes = b"") -> None:
        self.fetches = 0
        self._first = first
        self._drip = drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.answer: bytes | None = None
        """The complete body of later responses: the provider has recovered."""
        self.cut = threading.Event()
        """Set when a client has closed its end."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/keys"

    def __enter__(self) -> HangingServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.fetches += 1
                threading.Thread(target=self._hang, args=(client,), daemon=True).start()

    def _hang(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65_536)
            if self.answer is not None:
                client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + self.answer)
                return
            client.sendall(self._first)
            number = 0
            while not self._stopped.wait(0.02):
                if self._drip:
                    client.sendall(self._drip[number % len(self._drip)].to_bytes())
                    number += 1
                elif select.select([client], [], [], 0)[0] and not client.recv(1):
                    break
        self.cut.set()


class JWKSServer:
    """`with JWKSServer([...]) as server:` answers at `server.url` until the block ends, or `down()` is called."""

    def __init__(self, keys: list[dict[str, Any]] | None = None) -> None:
        self.fetches = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = json.dumps({"keys": keys or []}).encode()
        self.open = threading.Event()  # while it is cleared, requests wait
        self.open.set()
        self.requested = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/keys"

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def down(self) -> None:
        """Stop listening: the next fetch is refused."""
        self.open.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> JWKSServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.fetches += 1
                server.requested.set()
                server.open.wait()
                try:
                    self.send_response(server.status)
                    for name, value in server.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(server.body)))
                    self.end_headers()
                    self.wfile.write(server.body)
                except OSError:
                    pass  # the client no longer waits

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
