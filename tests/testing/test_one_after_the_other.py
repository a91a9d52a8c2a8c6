"""One app in several tests, one after the other: none of them leaves anything for the next."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, on
from asgi_realtime.testing import Clock, ConnectionRefused, RealtimeTestClient

SETTINGS = Settings(jwt_secret="only for tests: thirty-two bytes!")


class Shop(SocketIOGateway):
    """Sells things."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("orders")

    @on("order", once="id")
    async def order(self, id: str, item: str) -> str:
        return f"{id}: {item}"

    @on("fail")
    async def fail(self) -> None:
        self.run_in_background("background", fail_later())
        raise LookupError("no such table")


async def fail_later() -> None:
    raise LookupError("no such queue")


class Ticker(WebSocketGateway):
    """Answers."""

    @on("ask")
    async def ask(self, connection: Connection) -> None:
        await connection.send("price", 3)


def make_app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[Shop(), Ticker("/ticker")], settings=SETTINGS)
    return app


async def test_history_keys_answers_and_revocations_are_those_of_one_test() -> None:
    app = make_app()
    for item in ("tea", "milk"):
        async with RealtimeTestClient(app) as client:
            recorded = client.record()
            async with client.connect(token=client.token("ada", jti="one")) as ada:
                assert await ada.call("order", "1", item) == f"1: {item}"
                receipt = await client.broadcaster.broadcast_to_room("orders", "ORDERED", item, key="1")
                await recorded.expect("ORDERED", data=item)
                await client.broadcaster.revoke_token("one")
                await ada.expect_closed()
            assert receipt.position is not None
            assert receipt.position.endswith("-1"), "the first publication of this history"


async def test_time_that_a_clock_has_moved_does_not_count_in_the_next_test() -> None:
    app = make_app()
    for clock in (Clock(), None):
        async with RealtimeTestClient(app, clock=clock) as client:
            if clock is not None:
                await clock.advance(3_600)
            token = client.token("ada")
            async with client.connect(token=token) as ada, client.connect("/ticker", token=token) as other:
                assert await ada.call("order", "1", "tea") == "1: tea"
                await other.send("ask")
                await other.expect("price")
                await client.broadcaster.revoke_user("ada")
                await ada.expect_closed()


@pytest.mark.parametrize("first", [None, Clock()])
async def test_each_test_has_the_log_lines_of_its_own_failures(
    first: Clock | None, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    for clock in (first, None):
        caplog.clear()
        async with RealtimeTestClient(app, clock=clock) as client:
            if clock is not None:
                await clock.advance(3_600)
            with pytest.raises(ConnectionRefused):
                async with client.connect(token="forged"):
                    pass
            async with client.connect(token=client.token("ada")) as ada:
                assert (await ada.call("fail"))["code"] == "INTERNAL"
                await client.settle()
        for line in ("/ refused a client", "fail failed: LookupError('no such table')", "no such queue"):
            assert line in caplog.text
