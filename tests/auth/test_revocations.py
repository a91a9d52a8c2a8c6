"""Revoked tokens and users: which are refused, and for how long. Memory is bounded."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import UserId
from asgi_realtime.values.json import Json
from tests.support.clock import ManualClock

ANN, BOB = UserId("ann"), UserId("bob")


def identity(user_id: UserId = ANN, **claims: Json) -> Identity:
    return Identity(user_id=user_id, claims=claims)


def test_only_the_revoked_token_is_refused() -> None:
    revocations = Revocations(ttl=60)
    revocations.revoke_token("j1")
    assert revocations.is_revoked(identity(jti="j1"))
    assert not revocations.is_revoked(identity(jti="j2"))
    assert not revocations.is_revoked(identity())


def test_the_id_of_a_token_may_be_a_number() -> None:
    revocations = Revocations(ttl=60)
    revocations.revoke_token("7")
    assert revocations.is_revoked(identity(jti=7))


class Unreadable:
    """An id of a token that its class cannot show."""

    def __str__(self) -> str:
        raise LookupError("of the host")


def test_a_token_whose_id_cannot_be_read_is_revoked_with_the_first_one(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = identity(jti=cast("Json", Unreadable()))
    revocations = Revocations(ttl=60)
    assert not revocations.is_revoked(unreadable)
    revocations.revoke_token("j1")
    for _ in range(3):
        assert revocations.is_revoked(unreadable)
    assert not revocations.is_revoked(identity(jti="j2"))
    assert [record.getMessage() for record in caplog.records] == [
        "the id of a token cannot be read, so it counts as revoked: LookupError('of the host')"
    ]


def test_a_revoked_user_is_accepted_with_a_newer_token() -> None:
    revocations = Revocations(ttl=60)
    revocations.revoke_user(ANN, issued_before=1000.5)
    assert revocations.is_revoked(identity(iat=1000))
    assert revocations.is_revoked(identity(iat=1000.5))
    assert not revocations.is_revoked(identity(iat=1000.6))
    assert not revocations.is_revoked(identity(iat=1001))
    assert not revocations.is_revoked(identity(BOB, iat=1000))


def test_an_earlier_revocation_does_not_weaken_a_later_one() -> None:
    revocations = Revocations(ttl=60)
    revocations.revoke_user(ANN, issued_before=2000)
    revocations.revoke_user(ANN, issued_before=1000)
    assert revocations.is_revoked(identity(iat=1500))


@pytest.mark.parametrize("iat", [None, "1001", float("nan"), [2000]])
def test_a_token_without_an_issue_time_is_older_than_every_revocation(iat: Json) -> None:
    revocations = Revocations(ttl=60)
    revocations.revoke_user(ANN, issued_before=1000)
    assert revocations.is_revoked(identity(iat=iat))
    assert not revocations.is_revoked(identity(BOB, iat=iat))


def test_revocations_are_forgotten_after_their_time() -> None:
    clock = ManualClock()
    revocations = Revocations(ttl=60, clock=clock)
    revocations.revoke_token("j1")
    revocations.revoke_user(ANN, issued_before=1000)
    clock.now += 59.9
    assert revocations.is_revoked(identity(jti="j1", iat=2000))
    assert revocations.is_revoked(identity(iat=1000))
    clock.now += 0.1
    assert not revocations.is_revoked(identity(jti="j1", iat=2000))
    assert not revocations.is_revoked(identity(iat=1000))


def test_over_its_capacity_the_oldest_is_forgotten_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    revocations = Revocations(ttl=60, capacity=2)
    for jti in ("j1", "j2", "j1", "j3"):
        revocations.revoke_token(jti)
    assert [revocations.is_revoked(identity(jti=jti)) for jti in ("j1", "j2", "j3")] == [True, False, True]
    assert len(caplog.records) == 1
    assert "j2" not in caplog.text


def test_over_its_capacity_the_one_that_ends_first_is_forgotten() -> None:
    revocations = Revocations(ttl=60, capacity=2)
    for number, seconds in enumerate((30, 10, 20, 5, None)):
        revocations.revoke_token(f"j{number}", seconds)
        revocations.revoke_user(UserId(f"u{number}"), 1000, seconds)
    assert {jti for jti, _ in revocations.tokens()} == {"j0", "j4"}
    assert {user_id for user_id, _, _ in revocations.users()} == {"u0", "u4"}


def test_a_user_who_is_revoked_again_and_again_takes_one_place() -> None:
    revocations = Revocations(ttl=60, capacity=2)
    revocations.revoke_user(BOB, 1000)
    for number in range(100):
        revocations.revoke_user(ANN, 1000 + number)
    assert revocations.is_revoked(identity(BOB))
    assert revocations.is_revoked(identity(iat=1099))
    assert not revocations.is_revoked(identity(iat=1100))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100), st.floats(1, 100)), max_size=60),
    st.integers(1, 5),
)
def test_the_last_to_end_within_the_capacity_are_kept(revoked: list[tuple[int, float, float]], capacity: int) -> None:
    clock = ManualClock()
    revocations = Revocations(ttl=60, capacity=capacity, clock=clock)
    kept: dict[str, float] = {}
    for number, wait, seconds in revoked:
        clock.now += wait
        kept = {jti: ends for jti, ends in kept.items() if ends > clock.now}
        if revocations.revoke_token(str(number), seconds):
            kept[str(number)] = clock.now + seconds
            if len(kept) > capacity:
                del kept[min(kept, key=lambda jti: (kept[jti], jti))]
        for jti in map(str, range(10)):
            assert revocations.is_revoked(identity(jti=jti)) is (jti in kept)
