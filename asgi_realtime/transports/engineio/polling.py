"""HTTP long-polling: GETs that wait for frames, POSTs that bring packets."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import Receive

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.engineio import packets
from asgi_realtime.protocols.engineio.packets import Payload
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.interrupt import Interrupt
from asgi_realtime.transports.engineio.body import read_body
from asgi_realtime.transports.engineio.lifecycle import State
from asgi_realtime.transports.engineio.responses import ClientGone, HTTPRefusal, bad_request, too_slow
from asgi_realtime.transports.engineio.session import Session

logger = logging.getLogger("asgi_realtime")

_NOOP_SECONDS = 0.1
"""Seconds that a GET waits during an upgrade: it may have overtaken the upgrade packet."""


async def answer_poll(session: Session, receive: Receive) -> str:
    """Wait until there is something to answer a GET with, and return it. Costs no task.

    Raises:
        HTTPRefusal: if another GET of the session waits, which ends the session, or if the session is upgraded.
        ClientGone: if the client went away, which ends the session: an answer may have been lost with it.
    """
    woken = Interrupt()
    try:
        session.begin_poll(woken)
    except ProtocolError as error:
        logger.info("%r ended: %s", session, error)
        raise bad_request() from None
    try:
        answer = session.poll()
        if answer is not None:
            return answer
        if session.probed:
            asyncio.get_running_loop().call_later(_NOOP_SECONDS, woken)
        if await woken.run(_disconnect(receive)):
            raise ClientGone
        if session.transport != "polling":
            raise bad_request()
        return session.poll() or packets.NOOP
    except (ClientGone, asyncio.CancelledError):
        session.abort("transport close")
        raise
    finally:
        session.end_poll()


async def _disconnect(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


async def take_payload(session: Session, receive: Receive, limits: Limits) -> None:
    """Take the packets of a POST, each when the application is ready for it.

    Raises:
        HTTPRefusal: for anything that ended the session: bad packets, two POSTs at once, a body that is
            too large or comes too slowly.
        ClientGone: if the client went away, which ends the session too.
    """
    try:
        session.begin_post()
    except ProtocolError as error:
        logger.info("%r ended: %s", session, error)
        raise bad_request() from None
    try:
        # A pong may be in this body, or wait behind it.
        session.reading = False
        try:
            body = await read_body(receive, limits, session.post_bytes)
        finally:
            session.reading = True
        if session.state is State.CLOSED:
            raise bad_request()
        payload = Payload(body)
        turn = TextTurn(payload.next_text)
        while True:
            if not turn.over and not session.over:
                session.receive_texts(turn)
            text, turn.text = turn.text, None
            if turn.over:
                await asyncio.sleep(0)  # other clients have their turn
                turn = TextTurn(payload.next_text)
            if session.over or (packet := payload.next() if text is None else text.decode()) is None:
                break
            turn.count(1, time_source.monotonic())
            if session.receive(packet, asyncio.get_running_loop().time()):
                await session.ready()
                turn = TextTurn(payload.next_text)  # waiting does not count
    except ProtocolError as error:
        session.violated(error)
        raise bad_request() from None
    except (ClientGone, asyncio.CancelledError):
        session.abort("transport error")
        raise
    except HTTPRefusal:
        session.fail("transport error")
        raise
    except TimeoutError:
        session.fail("transport error")
        raise too_slow() from None
    except Exception as error:
        session.on_failure("an application failed to receive", error)
        session.fail("transport error")
        raise bad_request() from None
    finally:
        session.end_post()
