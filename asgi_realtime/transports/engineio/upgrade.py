"""The upgrade of an Engine.IO session from long-polling to a WebSocket."""

from __future__ import annotations

import asyncio

from starlette.types import Send

from asgi_realtime.protocols.engineio import packets
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.websocket_carrier import WebSocketCarrier


async def upgrade(session: Session, carrier: WebSocketCarrier, send: Send, seconds: float) -> bool:
    """Probe an accepted WebSocket, and let it take the session over.

    Polling carries the session until the client's last packet of the upgrade, so nothing is lost if that does not
    come. False: the client did not complete the upgrade within `seconds`, and the WebSocket was closed.
    """
    session.carrier = carrier
    upgraded = False
    try:
        async with asyncio.timeout(seconds):
            upgraded = await carrier.run(_probe(session, carrier, send)) or False
    except TimeoutError:
        pass
    except Exception:  # each server raises errors of its own when the client is gone
        carrier.gone = True
    finally:
        session.abandon_upgrade()
        if not upgraded:
            session.carrier = None
    if not upgraded:
        await carrier.close(*session.close_code)
    return upgraded


async def _probe(session: Session, carrier: WebSocketCarrier, send: Send) -> bool:
    if await carrier.next_text() != packets.PROBE_PING:
        return False
    await send({"type": "websocket.send", "text": packets.PROBE_PONG})
    session.probe()
    return await carrier.next_text() == packets.UPGRADE and session.complete_upgrade()
