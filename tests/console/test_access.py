"""Session cookies and the throttle of logins, without a server."""

from __future__ import annotations

import sys

import pytest

from asgi_realtime.console.access import COOKIE, Access
from asgi_realtime.console.login_throttle import MOST_ADDRESSES, OF_ADDRESS, OF_ALL, LoginThrottle
from asgi_realtime.values.handshake import Handshake

SECRET = "a secret of operators: ä"


class Clock:
    """Seconds since the epoch, which a test moves."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def access(secret: str = SECRET, *, path: str = "/console", clock: Clock | None = None, seconds: float = 60) -> Access:
    return Access(secret=secret, check=None, path=path, seconds=seconds, clock=clock or Clock())


async def is_session(access: Access, cookie: str) -> bool:
    return await access.session(Handshake(cookies={COOKIE: cookie})) is not None


def test_only_the_whole_secret_is_the_secret() -> None:
    mine = access()
    assert mine.is_secret(SECRET)
    assert [text for text in ("", SECRET[:-1], SECRET + " ", SECRET.upper(), "\ud800") if mine.is_secret(text)] == []


async def test_a_cookie_is_valid_until_it_expires() -> None:
    clock = Clock()
    mine = access(clock=clock)
    value = mine.new_cookie()
    assert await is_session(mine, value)
    assert await is_session(access(clock=clock), value)  # of another process
    clock.now += 59
    assert await is_session(mine, value)
    clock.now += 1
    assert not await is_session(mine, value)


async def test_a_cookie_of_another_secret_path_or_longer_session_is_not_valid() -> None:
    mine = access()
    for other in (access("another secret of operators"), access(path="/other"), access(seconds=61)):
        assert await is_session(other, other.new_cookie())
        assert not await is_session(mine, other.new_cookie())


async def test_a_changed_cookie_is_not_valid() -> None:
    mine = access()
    expires, id, signature = mine.new_cookie().split(".")
    changed = [
        f"{int(expires) - 1}.{id}.{signature}",
        f"{expires}.{id[::-1]}.{signature}",
        f"{expires}.{id}.{signature[::-1]}",
        f"{expires}.{id}.{signature[:-1]}",
        f"{expires}.{id}.",
        f"{expires}.{id}",
        *("", ".", "..", "x" * 5_000, f"٣{expires[1:]}.{id}.{signature}"),
    ]
    assert [cookie for cookie in changed if await is_session(mine, cookie)] == []


async def test_each_login_is_another_session() -> None:
    mine = access()
    sessions = [await mine.session(Handshake(cookies={COOKIE: mine.new_cookie()})) for _ in range(2)]
    assert sessions[0] is not None and sessions[1] is not None
    assert sessions[0].id != sessions[1].id


async def test_the_hosts_check_must_return_true() -> None:
    async def check(handshake: Handshake) -> object:
        return {"operator": True, "guest": False, "user": "an object"}[handshake.cookies["who"]]

    mine = Access(secret=None, check=check, path="/console", seconds=60)
    assert not mine.has_login
    assert not mine.is_secret("")
    for who, admitted in (("operator", True), ("guest", False), ("user", False)):
        assert (await mine.session(Handshake(cookies={"who": who})) is not None) is admitted


async def test_a_check_that_exits_is_an_error_of_its_request() -> None:
    async def check(handshake: Handshake) -> bool:
        sys.exit("not the server")

    with pytest.raises(RuntimeError, match="SystemExit"):
        await Access(secret=None, check=check, path="/console", seconds=60).session(Handshake())


def test_an_address_may_fail_a_few_times_and_then_waits() -> None:
    throttle = LoginThrottle()
    for _ in range(OF_ADDRESS.burst):
        assert throttle.wait("10.0.0.1", 100.0) == 0
        throttle.failed("10.0.0.1", 100.0)
    assert throttle.wait("10.0.0.1", 100.0) == pytest.approx(OF_ADDRESS.interval)
    assert throttle.wait("10.0.0.2", 100.0) == 0
    assert throttle.wait("10.0.0.1", 100.0 + OF_ADDRESS.interval) == 0
    throttle.failed("10.0.0.1", 100.0 + OF_ADDRESS.interval)
    assert throttle.wait("10.0.0.1", 100.0 + OF_ADDRESS.interval) == pytest.approx(OF_ADDRESS.interval)


def test_all_addresses_together_are_limited_and_few_are_remembered() -> None:
    throttle = LoginThrottle()
    for number in range(2 * MOST_ADDRESSES):
        throttle.failed(str(number), 100.0)
        assert (throttle.wait("another", 100.0) > 0) is (number + 1 >= OF_ALL.burst)
    assert len(throttle) == MOST_ADDRESSES
