"""The bytes of recovery sessions in Redis."""

from __future__ import annotations

import dataclasses
import math
import time

import pytest

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.recovery.session_encoding import CommandPositions, decode_session, encode_session
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.json import Json
from tests.recovery.test_session import at, session

CARRIED_OUT = CommandPositions(at(20), at(21))
ROOMS = {RoomName("from the beginning"): at(10), RoomName("later"): at(12)}
PARENTS = {RoomName("later"): RoomName("parent")}


def test_a_session_is_the_same_when_it_is_read() -> None:
    kept = dataclasses.replace(
        session(rooms=ROOMS, parents=PARENTS, replayed=at(15)),
        identity=Identity(user_id="ann", claims={"sub": "ann", "roles": ["admin"], "iat": 5, "jti": "t"}),
        granted=frozenset({RoomName("later")}),
    )
    assert decode_session(kept.id, encode_session(kept, CARRIED_OUT)) == (kept, CARRIED_OUT)


@pytest.mark.parametrize(
    "more", [{}, {"a set": {1}}, {"a text": "\ud800"}, {"a number": 2**70}, {"an object": object()}]
)
@pytest.mark.parametrize(
    "claims",
    [
        {"jti": "t", "iat": time.time()},
        {"jti": 5, "iat": 2**70},
        {"jti": None, "iat": 10**400},
        {"iat": -(10**400)},
        {"iat": math.nan},
        {"iat": "late"},
        {},
    ],
)
def test_revocations_are_decided_as_before(claims: dict[str, Json], more: dict[str, Json]) -> None:
    identity = Identity(user_id="ann", claims=claims | more)
    kept = dataclasses.replace(session(), identity=identity)
    read = decode_session(kept.id, encode_session(kept, CARRIED_OUT))[0].identity
    by_token, by_user, earlier = (Revocations(ttl=60) for _ in range(3))
    by_token.revoke_token(str(claims.get("jti")))
    by_user.revoke_user(UserId("ann"), time.time() + 1)
    earlier.revoke_user(UserId("ann"), 1.0)
    for revocations in (by_token, by_user, earlier):
        assert revocations.is_revoked(read) is revocations.is_revoked(identity)
