"""A compressed message that inflates to a thousand times its size is refused, or start-up warns about the server."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from typing import Final

import pytest

from tests.support.attackers import entered, still_answers
from tests.support.client_frames import CLOSE, TEXT, frame
from tests.support.raw_websocket import open_websocket
from tests.support.servers import Implementation
from tests.support.target_command import served_process
from tests.support.target_process import Process

OFFER: Final = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
MEBIBYTE: Final = 1 << 20
WARNING: Final = "inflates compressed WebSocket messages without a limit"
ENVIRON: Final = {"MEW_COMPRESSION": "true"}
IO, JSON = "/socket.io/?EIO=4&transport=websocket", "/json"


@functools.cache
def bomb() -> bytes:
    """A text message of 200 MB in one frame of 194 KB."""
    compressor = zlib.compressobj(9, wbits=-15)
    payload = b"".join(compressor.compress(b"4" * 1_000_000) for _ in range(200))
    payload += compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, payload.removesuffix(b"\x00\x00\xff\xff"), reserved=4)


async def explode(process: Process, path: str, data: bytes) -> tuple[bool, list[tuple[int, bytes]]]:
    """Whether the server agreed to compression, and what it wrote after the bomb."""
    async with open_websocket(process.server.port, path, OFFER) as client:
        await client.send(data)
        return b"permessage-deflate" in client.head.lower(), await client.rest()


SAFE: Final[list[tuple[Implementation, tuple[str, ...], int]]] = [
    ("uvicorn", (), 16 * MEBIBYTE),
    ("uvicorn", ("--ws-per-message-deflate", "false"), 16 * MEBIBYTE),
    ("uvicorn-wsproto", (), 16 * MEBIBYTE),
    ("WebSocketProtocol", (), 16 * MEBIBYTE),
    ("hypercorn", ("--workers", "0"), 16 * MEBIBYTE),
]


@pytest.mark.parametrize(("implementation", "flags", "cost"), SAFE)
async def test_a_safe_server_refuses_a_bomb_in_little_memory_and_time(
    tmp_path: Path, implementation: Implementation, flags: tuple[str, ...], cost: int
) -> None:
    data = bomb()
    assert len(data) < 200_000
    async with served_process(tmp_path, implementation, *flags, environ=ENVIRON) as process:
        for path in (IO, JSON):
            async with entered(process.server, "another") as another:
                await still_answers(another)
                memory, processor = process.forget_peak(), process.cpu_seconds
                agreed, frames = await explode(process, path, data)
                await still_answers(another)
            codes = [int.from_bytes(payload[:2]) for opcode, payload in frames if opcode == CLOSE]
            if agreed:
                assert codes == [1009]
            else:  # the reserved bits of the frame are an error; some servers close the connection without a code
                assert codes in ([], [1002])
            assert process.peak - memory < cost
            assert process.cpu_seconds - processor < 0.5
    assert "Traceback" not in process.output
    # The app's own WebSockets are not protected there.
    assert (WARNING in process.output) == (implementation in ("hypercorn", "uvicorn-wsproto"))


@pytest.mark.parametrize("implementation", ["uvicorn-wsproto", "hypercorn"])
async def test_start_up_warns_about_a_server_that_inflates_without_a_limit(
    tmp_path: Path, implementation: Implementation
) -> None:
    async with served_process(tmp_path, implementation) as process:
        assert process.output.count(WARNING) == 1  # started, before the first client
        async with entered(process.server, "one") as one:
            await still_answers(one)
    assert process.output.count(WARNING) == 1


async def test_without_a_lifespan_the_warning_comes_at_the_first_websocket(tmp_path: Path) -> None:
    async with served_process(tmp_path, "uvicorn-wsproto", "--lifespan", "off") as process:
        assert WARNING not in process.output
        for name in ("one", "two"):
            async with entered(process.server, name) as client:
                await still_answers(client)
        assert process.output.count(WARNING) == 1
