"""Requests broadcasts from one process of a cluster."""

from __future__ import annotations

import http.client
import json

from benchmarks.catalogue import Dialect
from benchmarks.cluster.client import WAIT_SECONDS
from benchmarks.cluster.systems import ROOM
from benchmarks.server import BrokenRun

TEXT_BYTES = 200


class Publisher:
    """Requests numbered broadcasts to the room. One HTTP connection is used for all requests.

    A process of asgi_realtime and the others broadcasts any number of messages for one request. Centrifugo
    takes messages only by HTTP: one for each request, or all that are published together.
    """

    def __init__(self, port: int, dialect: Dialect) -> None:
        self.next = 0
        """The number of the next message."""
        self._dialect = dialect
        self._control = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)

    @property
    def last(self) -> int:
        """The number of the newest message."""
        return self.next - 1

    def publish(self, count: int, together: int) -> None:
        """Broadcast messages, so many of them at a time. Returns when the process has answered."""
        if self._dialect == "centrifugo":
            for first in range(self.next, self.next + count, together):
                self._publish_to_centrifugo(range(first, min(first + together, self.next + count)))
        else:
            self._request(f"/broadcast/{self.next}/{count}/{TEXT_BYTES}/{together}", None)
        self.next += count

    def _publish_to_centrifugo(self, numbers: range) -> None:
        text = "x" * TEXT_BYTES
        publications = [{"channel": ROOM, "data": {"number": number, "text": text}} for number in numbers]
        if len(publications) == 1:
            answer = self._request("/api/publish", publications[0])
        else:  # one after another, because parallel commands have no order
            answer = self._request("/api/batch", {"commands": [{"publish": each} for each in publications]})
        if b'"error"' in answer:
            raise BrokenRun(f"Centrifugo refused: {answer[:200]!r}")

    def _request(self, path: str, body: object) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        self._control.request("POST", path, data, {"Content-Type": "application/json"})
        response = self._control.getresponse()
        answer = response.read()
        if response.status != 200 or self._control.sock is None:
            raise BrokenRun(f"the publisher answered {response.status} {answer[:200]!r}")
        return answer

    def close(self) -> None:
        """End the HTTP connection, before the process does so because it is idle. The next request opens another."""
        self._control.close()
