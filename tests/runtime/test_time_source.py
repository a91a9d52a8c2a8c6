"""The source of the time that this package decides by."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from asgi_realtime import Identity, Settings, Unauthorized, create_token
from asgi_realtime.answers import MemoryAnswers
from asgi_realtime.answers.base import EventKey
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.limits import Limits
from asgi_realtime.runtime import time_source
from asgi_realtime.systems.jobs.events import timestamp_text
from asgi_realtime.values.ids import UserId

SETTINGS = Settings(jwt_secret="only for tests: thirty-two bytes!")


class Moved:
    """A time source that is ahead of the system."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def moved() -> Iterator[Moved]:
    source = Moved()
    time_source.replace(by_monotonic=source.monotonic, by_wall=source.wall)
    yield source
    time_source.restore()


def test_a_process_has_one_source(moved: Moved) -> None:
    with pytest.raises(RuntimeError, match="another test clock is in use"):
        time_source.replace(by_monotonic=moved.monotonic, by_wall=moved.wall)
    time_source.restore()
    assert (time_source.monotonic, time_source.wall) == (time.monotonic, time.time)


async def test_a_token_is_checked_by_it(moved: Moved) -> None:
    verifier = JWTVerifier(SETTINGS)
    token = create_token("ada", SETTINGS, expires_in=60)
    later = create_token("ada", SETTINGS, nbf=int(time_source.wall()) + 30)
    assert (await verifier.verify(token)).user_id == "ada"
    with pytest.raises(Unauthorized) as refused:
        await verifier.verify(later)
    assert refused.value.log_reason == "the token is not valid yet"
    moved.ahead = 31
    assert (await verifier.verify(later)).user_id == "ada"
    moved.ahead = 61
    with pytest.raises(Unauthorized) as refused:
        await verifier.verify(token)
    assert refused.value.log_reason == "the token has expired"
    assert (await verifier.verify(create_token("ada", SETTINGS, expires_in=60))).user_id == "ada"


async def test_what_was_made_before_it_was_replaced_reads_it_too(moved: Moved) -> None:
    time_source.restore()
    answers, revocations = MemoryAnswers(Limits(once_ttl=60)), Revocations(ttl=60)
    time_source.replace(by_monotonic=moved.monotonic, by_wall=moved.wall)
    key = EventKey(UserId("ada"), "order", "once-1")
    answers.put(key, b"1")
    revocations.revoke_user(UserId("ada"), time_source.wall() + 1000)
    assert answers.known(key) == b"1"
    assert revocations.is_revoked(Identity(user_id="ada"))
    moved.ahead = 61
    assert answers.known(key) is None
    assert not revocations.is_revoked(Identity(user_id="ada"))


def test_messages_have_its_time(moved: Moved) -> None:
    before = datetime.fromisoformat(timestamp_text())
    moved.ahead = 3600
    assert datetime.fromisoformat(timestamp_text()) - before >= timedelta(hours=1)
