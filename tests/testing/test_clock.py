"""A clock that stands still: what it moves, in which order, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import uvloop

from asgi_realtime import Limits, Settings
from asgi_realtime.runtime import time_source
from asgi_realtime.testing import Clock, RealtimeTestClient
from tests.support.shop_app import SECRET, make_app


def settings(**more: float | Limits) -> Settings:
    return Settings(jwt_secret=SECRET, **more)  # type: ignore[arg-type]  # by name


async def test_a_token_expires_at_its_second() -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings()), clock=clock) as client:
        began = clock.now
        async with client.connect("/", token=client.token("ada", expires_in=3600)) as ada:
            await clock.advance(3599)
            await ada.expect_nothing()
            assert ada.closed is None
            await clock.advance(2)
            assert (await ada.expect_closed()).code == 1008
        assert clock.now == pytest.approx(began + 3601)


async def test_a_user_is_offline_after_the_grace_period_and_not_before() -> None:
    clock = Clock()
    async with (
        RealtimeTestClient(make_app(settings(presence_grace=30.0)), clock=clock) as client,
        client.connect("/", token=client.token("bob")) as bob,
    ):
        async with client.connect("/", token=client.token("ada")):
            pass
        await clock.advance(29.9)
        assert await client.broadcaster.online_users() == {"ada", "bob"}
        await bob.expect_nothing("LEFT")
        await clock.advance(0.2)
        assert (await bob.expect("LEFT")).data == "ada"
        assert await client.broadcaster.online_users() == {"bob"}


@pytest.mark.parametrize(("away", "recovered"), [(59, True), (61, False)])
async def test_a_client_recovers_within_the_window(away: float, recovered: bool) -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings(recovery_window=60.0)), clock=clock) as client:
        token = client.token("ada")
        async with client.connect("/ticker", token=token) as ada:
            session = (await ada.expect("auth_success")).data["recovery"]
            await ada.drop()
        await client.broadcaster.of("/ticker").broadcast_to_all("price", 3)
        await clock.advance(away)
        query = {"recovery": json.dumps({"id": session["id"], "position": session["position"]})}
        async with client.connect("/ticker", token=token, query=query) as ada:
            assert (await ada.expect("auth_success")).data["recovery"]["recovered"] is recovered
            received = [event.name for event in await ada.take_all()]
            assert received == (["price"] if recovered else [])


async def test_an_event_with_the_same_id_is_new_when_its_answer_is_forgotten() -> None:
    clock = Clock()
    async with (
        RealtimeTestClient(make_app(settings(limits=Limits(once_ttl=300))), clock=clock) as client,
        client.connect("/", token=client.token("ada")) as ada,
    ):
        for seconds, handled in ((0, 1), (299, 1), (2, 2)):
            await clock.advance(seconds)
            await ada.call("pay", "order-1")
            assert len([event for event in ada.events if event.name == "PAID"]) == handled


async def test_the_rate_of_events_allows_more_only_when_time_has_passed() -> None:
    clock = Clock()
    limits = Limits(event_rate=1, event_burst=3)
    async with (
        RealtimeTestClient(make_app(settings(limits=limits)), clock=clock) as client,
        client.connect("/", token=client.token("ada")) as ada,
    ):
        answers = [await ada.call("note", "a") for _ in range(5)]
        assert [isinstance(answer, int) for answer in answers] == [True, True, True, False, False]
        await clock.advance(2)
        answers = [await ada.call("note", "a") for _ in range(3)]
        assert [isinstance(answer, int) for answer in answers] == [True, True, False]


async def test_heartbeats_keep_a_client_for_an_hour() -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings()), clock=clock) as client:
        for transport in ("websocket", "polling"):
            async with client.connect(token=client.token("ada", expires_in=None), transport=transport) as ada:
                await clock.advance(3600)
                assert await ada.call("note", "still here") == 10
                await ada.expect_nothing()


async def test_timers_run_in_their_order_and_each_at_its_time() -> None:
    clock, ran = Clock(), list[tuple[str, float]]()
    async with RealtimeTestClient(make_app(settings()), clock=clock):
        loop = asyncio.get_running_loop()
        began, cancelled = loop.time(), loop.call_later(15, ran.append, ("cancelled", 15.0))

        async def tick() -> None:
            for _ in range(3):
                await asyncio.sleep(10)
                ran.append(("tick", loop.time() - began))

        ticking = asyncio.create_task(tick())
        loop.call_later(25, lambda: ran.append(("later", loop.time() - began)))
        cancelled.cancel()
        for number in range(2_500):  # more than the timers that one call runs at their times
            loop.call_later(number / 100, ran.append, ("cancelled", 0.0)).cancel()
        await clock.advance(29)
        assert ran == [("tick", 10), ("tick", 20), ("later", 25)]
        await clock.advance(1)
        assert ran[3:] == [("tick", 30)]
        await ticking


async def test_a_handler_that_sleeps_goes_on_when_time_passes() -> None:
    clock = Clock()
    async with (
        RealtimeTestClient(make_app(settings()), clock=clock) as client,
        client.connect("/", token=client.token("ada")) as ada,
    ):
        waiting = asyncio.create_task(ada.call("wait", 20.0))
        await clock.advance(19)
        assert not waiting.done()
        await clock.advance(1)
        assert await waiting == "waited"


async def test_a_failure_comes_in_real_time_and_says_that_the_clock_stands_still() -> None:
    async with (
        RealtimeTestClient(make_app(settings()), clock=Clock()) as client,
        client.connect("/", token=client.token("ada")) as ada,
    ):
        with pytest.raises(
            AssertionError, match=r"no LEFT within 0.05 s; the clock stands still: timers run in `await"
        ):
            await ada.expect("LEFT", timeout=0.05)
        await ada.send("wait", 1.0)
        with pytest.raises(AssertionError, match="still at work after 0.05 s; the clock stands still"):
            await client.settle(timeout=0.05)


async def test_many_timers_run_late_but_all_of_the_time_passes() -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings()), clock=clock):
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        began = clock.now
        await clock.advance(50)  # 50,000 of them
        assert 2_000 < ticks < 2_200
        assert clock.now == pytest.approx(began + 50)
        ticking.cancel()
        await asyncio.wait([ticking])


async def test_the_time_passes_while_the_app_starts_and_stops_and_is_real_again_after_it() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    for _ in range(2):
        app = make_app(settings(shutdown_delay=0.01))
        async with RealtimeTestClient(app, clock=clock):
            assert time_source.monotonic() == time_source.monotonic() == loop.time() == loop.time()
            await clock.advance(1000)
            assert loop.time() > time.monotonic() + 900
            assert clock.now == time_source.wall() > time.time() + 900
        assert abs(loop.time() - time.monotonic()) < 10
        assert time_source.monotonic is time.monotonic
        with pytest.raises(RuntimeError, match="no app uses this clock"):
            await clock.advance(1)


async def test_two_apps_of_a_test_share_a_clock_and_a_second_clock_is_refused() -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings()), clock=clock) as one:
        async with RealtimeTestClient(make_app(settings()), clock=clock) as other:
            async with one.connect(token=one.token("a", expires_in=60)) as a:
                async with other.connect(token=other.token("b", expires_in=60)) as b:
                    await clock.advance(61)
                    assert (await a.expect_closed()).code == (await b.expect_closed()).code == 1008
    async with RealtimeTestClient(make_app(settings()), clock=clock):
        with pytest.raises(RuntimeError, match="another clock or event loop is in use"):
            async with RealtimeTestClient(make_app(settings()), clock=Clock()):
                pass
        before = time_source.monotonic()
        await clock.advance(1)
        assert time_source.monotonic() == before + 1
    async with RealtimeTestClient(make_app(settings()), clock=clock):
        async with RealtimeTestClient(make_app(settings()), clock=clock):
            await clock.advance(1000)
        before = clock.now  # the first of them to stop lets time pass
        async with RealtimeTestClient(make_app(settings()), clock=clock) as one:
            assert before <= clock.now < before + 100
            async with one.connect(token=one.token("a", expires_in=60)) as a:
                await clock.advance(61)
                await a.expect_closed()


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
async def test_time_goes_only_forward(seconds: float) -> None:
    clock = Clock()
    async with RealtimeTestClient(make_app(settings()), clock=clock):
        with pytest.raises(ValueError, match="seconds must be a number from 0 on"):
            await clock.advance(seconds)


def test_another_kind_of_event_loop_is_refused_and_the_app_not_started() -> None:
    async def main() -> None:
        async with RealtimeTestClient(make_app(settings()), clock=Clock()):
            pass

    with pytest.raises(RuntimeError, match=r"the time of a uvloop.Loop cannot be replaced"):
        uvloop.run(main())


def test_a_loop_that_ended_without_a_stop_leaves_the_time_to_the_next_test() -> None:
    async def start() -> None:
        await RealtimeTestClient(make_app(settings()), clock=Clock()).__aenter__()

    async def run() -> float:
        clock = Clock()
        async with RealtimeTestClient(make_app(settings()), clock=clock):
            await clock.advance(1)
            return time_source.monotonic() - time.monotonic()

    asyncio.run(start())
    assert asyncio.run(run()) < 10
