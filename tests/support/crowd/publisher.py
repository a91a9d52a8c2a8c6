"""Publishes by the route `/call` of a server, which may be replaced at any time."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from typing import Any

PATIENCE = 20.0
"""Seconds that a broadcast may take to be accepted, over all attempts."""


class Publisher:
    """One HTTP connection, opened again when it ends. A broadcast is sent again with its key until it is accepted."""

    def __init__(self, port: int, statuses: Counter[int]) -> None:
        self._port = port
        self._statuses = statuses
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Call a method of the broadcaster that publishes, and return the receipt."""
        options["key"] = secrets.token_hex(8)
        body = {"method": method, "arguments": arguments, "options": options}
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self._post(json.dumps(body).encode())
                except (OSError, asyncio.IncompleteReadError):
                    self.close()  # the server has closed it, or does not listen any more
                    await asyncio.sleep(0.02)

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _post(self, body: bytes) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /call HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        answer = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        status = int(head[9:12])
        self._statuses[status] += 1
        if "connection: close" in head:
            self.close()
        if status != 200:
            raise ConnectionError(status)
        found: dict[str, Any] = json.loads(answer)
        return found
