"""A warning about servers that inflate a compressed WebSocket message without a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

logger: Final = logging.getLogger("asgi_realtime")

_WSPROTO: Final = "uvicorn.protocols.websockets.wsproto_impl"
_OWN: Final = "asgi_realtime.uvicorn.cycle"
"""This package's own class for uvicorn, which has a limit."""
_UVICORN: Final = (
    "uvicorn's wsproto implementation inflates compressed WebSocket messages without a limit: 200 KB from a client can "
    "take hundreds of megabytes, whatever --ws-max-size says. Start uvicorn with --ws websockets-sansio, or with "
    "--ws-per-message-deflate false"
)
_HYPERCORN: Final = (
    "hypercorn inflates compressed WebSocket messages without a limit: 200 KB from a client can take hundreds of "
    "megabytes. Gateways decline compression there; WebSocket routes of the app itself cannot. Serve those with "
    "uvicorn and --ws websockets-sansio"
)


class InflationWarning:
    """Looks at the server once, at start-up or at the first WebSocket, and logs one line if it has no limit."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known = False

    def look(self, channel: Callable[..., Awaitable[Any]]) -> None:
        """Look at the server behind an ASGI `receive` of the lifespan, or behind a `send` of a WebSocket.

        A server that is not recognised is looked for again the next time.
        """
        if self._known:
            return
        for server in (getattr(channel, "__self__", None), _task_owner()):
            package = type(server).__module__.partition(".")[0]
            if package == "hypercorn":
                logger.warning(_HYPERCORN)
            elif package == "uvicorn":
                config = getattr(server, "config", None)
                protocol = getattr(config, "ws_protocol_class", None)
                if getattr(protocol, "__module__", "") == _WSPROTO and getattr(config, "ws_per_message_deflate", True):
                    logger.warning(_UVICORN)
            elif type(server).__module__ != _OWN:
                continue
            self._known = True
            return


def _task_owner() -> object:
    """The object whose method the current task runs: of the server, also where a framework wraps `receive`."""
    task = asyncio.current_task()
    frame = getattr(None if task is None else task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")
