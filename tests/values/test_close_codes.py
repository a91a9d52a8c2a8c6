"""Close codes and reasons are checked when the host passes them. Errors name the argument."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from asgi_realtime import Disconnect, Handshake, Settings, SocketIOGateway
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.connection.connection import Connection
from asgi_realtime.realtime import Realtime
from asgi_realtime.values.close_codes import check_close, may_be_sent
from tests.support.recording import RecordingTransport

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
BAD_CODES = (-1, 0, 99, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 70_000)
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999)

Call: TypeAlias = Callable[[Realtime, Connection, Any, Any], Awaitable[object]]


async def disconnect(realtime: Realtime, connection: Connection, code: Any, reason: Any) -> None:
    Disconnect(code, reason)


CALLS: dict[str, Call] = {
    "close()": lambda realtime, connection, code, reason: connection.close(code, reason),
    "Disconnect()": disconnect,
    "disconnect_user()": lambda realtime, connection, code, reason: realtime.broadcaster.disconnect_user(
        "ann", code=code, reason=reason
    ),
    "disconnect_members()": lambda realtime, connection, code, reason: realtime.broadcaster.disconnect_members(
        "tea", code=code, reason=reason
    ),
    "disconnect_connection()": lambda realtime, connection, code, reason: realtime.broadcaster.disconnect_connection(
        connection.id, code=code, reason=reason
    ),
    "take_over()": lambda realtime, connection, code, reason: realtime.broadcaster.take_over(
        connection, "kick", code=code, reason=reason
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_close_code_that_may_not_be_sent_raises_an_error_that_names_it(call: str) -> None:
    gateway = SocketIOGateway("/")
    async with Realtime(gateways=[gateway], settings=SETTINGS) as realtime:
        transport = RecordingTransport(gateway=gateway)
        handshake = Handshake(gateway=gateway.name, auth={"token": create_token("ann", SETTINGS)})
        connection = await gateway.open(handshake, transport)
        for code in BAD_CODES:
            with pytest.raises(ValueError, match=rf"{call[:-2]}\(\): code={code}"):
                await CALLS[call](realtime, connection, code, "why")
        for wrong in ("1008", 1008.0, None, True):
            with pytest.raises(TypeError, match=rf"{call[:-2]}\(\): code= takes an int"):
                await CALLS[call](realtime, connection, wrong, "why")
        for reason in (None, b"bytes", 7):
            with pytest.raises(TypeError, match=rf"{call[:-2]}\(\): reason= takes a str"):
                await CALLS[call](realtime, connection, 1008, reason)
        assert transport.closes == []
        await CALLS[call](realtime, connection, 4403, "ä" * 200)
        await connection.close()


@pytest.mark.parametrize("code", GOOD_CODES)
def test_codes_that_may_be_sent_are_accepted(code: int) -> None:
    assert may_be_sent(code)
    check_close("close()", code, "")
