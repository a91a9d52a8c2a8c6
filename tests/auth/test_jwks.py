"""JWKS against a real endpoint: what is fetched, how often, and how failures are handled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from asgi_realtime.auth.jwks import JWKS
from tests.support.clock import ManualClock
from tests.support.jwks_server import HangingServer, JWKSServer, jwk

ONE, TWO = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def server() -> Iterator[JWKSServer]:
    with JWKSServer([jwk(ONE, "one")]) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jwks(server: JWKSServer, clock: ManualClock) -> JWKS:
    return JWKS(server.url, cooldown=30, timeout=10, ttl=300, clock=clock)


async def test_a_known_key_is_fetched_once(server: JWKSServer, jwks: JWKS) -> None:
    for _ in range(3):
        found = await jwks.find("one")
        assert found is not None
        assert [each.key for each in found] == [ONE.public_key()]
        assert [each.algorithms for each in found] == [("ES256",)]
    assert server.fetches == 1


async def test_nothing_is_fetched_before_it_is_needed(server: JWKSServer, jwks: JWKS) -> None:
    assert server.fetches == 0


async def test_a_hundred_concurrent_lookups_share_one_fetch(server: JWKSServer, jwks: JWKS) -> None:
    found = await asyncio.gather(*(jwks.find("one") for _ in range(100)))
    assert all(found)
    assert server.fetches == 1


async def test_unknown_ids_cause_at_most_one_fetch_per_cool_down(
    server: JWKSServer, jwks: JWKS, clock: ManualClock
) -> None:
    assert await jwks.find("one")
    for storm in range(3):
        found = await asyncio.gather(*(jwks.find(f"unknown {number}") for number in range(100)))
        assert not any(found)
        assert server.fetches == 1 + storm
        clock.now += 30


async def test_a_new_key_is_found_after_the_cool_down(server: JWKSServer, jwks: JWKS, clock: ManualClock) -> None:
    assert await jwks.find("one")
    server.publish(jwk(ONE, "one"), jwk(TWO, "two"))
    clock.now += 29.9
    assert await jwks.find("two") is None
    clock.now += 0.1
    found = await jwks.find("two")
    assert found is not None and [each.key for each in found] == [TWO.public_key()]
    assert server.fetches == 2


async def test_a_withdrawn_key_is_dropped_by_the_fetch_after_the_ttl(
    server: JWKSServer, jwks: JWKS, clock: ManualClock
) -> None:
    assert await jwks.find("one")
    server.publish(jwk(TWO, "two"))
    clock.now += 299
    assert await jwks.find("one")
    assert server.fetches == 1
    clock.now += 1
    assert await jwks.find("one"), "the old key is returned at once, while the set is fetched"
    assert await jwks.find("two"), "an unknown key waits until the set is fetched"
    assert await jwks.find("one") is None
    assert server.fetches == 2


async def test_a_withdrawn_key_is_not_used_for_more_than_a_day(
    server: JWKSServer, jwks: JWKS, clock: ManualClock
) -> None:
    assert await jwks.find("one")
    server.publish(jwk(TWO, "two"))
    clock.now += 300 + 24 * 3600
    assert await jwks.find("one") is None
    assert server.fetches == 2


async def test_a_known_key_never_waits_for_a_provider_that_hangs(
    server: JWKSServer, jwks: JWKS, clock: ManualClock
) -> None:
    assert await jwks.find("one")
    server.open.clear()
    server.requested.clear()
    clock.now += 300
    for _ in range(100):
        finding = jwks.find("one")
        with pytest.raises(StopIteration) as found:
            finding.send(None)  # returns without an await
        assert found.value.value is not None
    await asyncio.to_thread(server.requested.wait)
    server.open.set()
    assert server.fetches == 2


HANGING = {
    "silence": (b"", b""),
    "half a status line": (b"HTTP/1.1 20", b""),
    "100 Continue and nothing": (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    "100 Continue repeatedly": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a header sent byte by byte": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "a body sent byte by byte": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "a body that stops": (b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"keys"', b""),
    "chunks sent byte by byte": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.mark.parametrize("kind", HANGING)
async def test_a_fetch_that_hangs_is_cut_and_the_next_one_succeeds(
    kind: str, server: JWKSServer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with HangingServer(*HANGING[kind]) as hanging:
        jwks = JWKS(hanging.url, cooldown=30, timeout=0.5, ttl=300, clock=clock)
        async with asyncio.timeout(5):  # ten times the allowed time
            found = await asyncio.gather(*(jwks.find("one") for _ in range(100)))
        assert not any(found)
        assert hanging.fetches == 1
        assert await asyncio.to_thread(hanging.cut.wait, 5), "the connection is closed, so that its thread ends"
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        hanging.answer = server.body
        assert await jwks.find("one") is None, "the cool-down is not over"
        clock.now += 30
        assert await jwks.find("one")


async def test_old_keys_stay_valid_while_the_endpoint_is_down(
    server: JWKSServer, jwks: JWKS, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert await jwks.find("one")
    server.down()
    clock.now += 300
    with caplog.at_level(logging.WARNING, "asgi_realtime"):
        assert all(await asyncio.gather(*(jwks.find("one") for _ in range(100))))
        assert await jwks.find("two") is None  # waits for the fetch
        assert all(await asyncio.gather(*(jwks.find("one") for _ in range(100))))
    assert len(caplog.records) == 1


async def test_an_endpoint_that_is_down_at_first_is_fetched_again_after_the_cool_down(
    server: JWKSServer, jwks: JWKS, clock: ManualClock
) -> None:
    server.status = 503
    found = await asyncio.gather(*(jwks.find("one") for _ in range(100)))
    assert not any(found)
    server.status = 200
    assert await jwks.find("one") is None
    assert server.fetches == 1
    clock.now += 30
    assert await jwks.find("one")
    assert server.fetches == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no such page</html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [null, 7, "one", {}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": 1}]}',
        b'{"keys": ' + b"[" * 100_000,
        b'{"keys": ' + b"1" * 10_000 + b"}",
    ],
    ids=lambda body: body[:24].decode("latin-1").strip() or str(len(body)),
)
async def test_an_invalid_response_changes_no_keys(
    server: JWKSServer, jwks: JWKS, clock: ManualClock, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert await jwks.find("one")
    good, server.body = server.body, body
    clock.now += 300
    assert await jwks.find("unknown") is None  # waits for the fetch
    assert await jwks.find("one")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert len(caplog.text) < 500
    server.body = good
    clock.now += 30
    assert await jwks.find("unknown") is None
    assert await jwks.find("one")
    assert server.fetches == 3


async def test_an_oversized_response_is_not_read_to_its_end(server: JWKSServer, jwks: JWKS) -> None:
    server.body += b" " * 1_000_000
    assert await jwks.find("one") is None


async def test_a_redirect_is_not_followed(server: JWKSServer, clock: ManualClock) -> None:
    with JWKSServer() as moved:
        moved.status, moved.headers = 302, {"Location": server.url}
        jwks = JWKS(moved.url, cooldown=30, timeout=10, ttl=300, clock=clock)
        assert await jwks.find("one") is None
    assert server.fetches == 0


async def test_lookups_stop_waiting_for_a_slow_endpoint_after_the_timeout(
    server: JWKSServer, clock: ManualClock
) -> None:
    jwks = JWKS(server.url, cooldown=30, timeout=0.1, ttl=300, clock=clock)
    server.open.clear()
    found = await asyncio.gather(*(jwks.find("one") for _ in range(100)))
    assert not any(found)
    assert server.fetches == 1


async def test_a_cancelled_waiter_does_not_end_the_fetch_of_the_others(server: JWKSServer, jwks: JWKS) -> None:
    server.open.clear()
    first = asyncio.create_task(jwks.find("one"))
    second = asyncio.create_task(jwks.find("one"))
    await asyncio.to_thread(server.requested.wait)
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    server.open.set()
    assert await second
    assert await jwks.find("one")
    assert server.fetches == 1


async def test_a_fetch_whose_waiter_was_cancelled_is_still_used(server: JWKSServer, jwks: JWKS) -> None:
    server.open.clear()
    only = asyncio.create_task(jwks.find("one"))
    await asyncio.to_thread(server.requested.wait)
    only.cancel()
    await asyncio.wait({only})
    server.open.set()
    assert await jwks.find("one")
    assert server.fetches == 1


def test_a_fetch_left_by_a_stopped_event_loop_is_dropped(server: JWKSServer, jwks: JWKS, clock: ManualClock) -> None:
    async def leave() -> None:
        waiting = asyncio.create_task(jwks.find("one"))
        await asyncio.to_thread(server.requested.wait)
        waiting.cancel()
        await asyncio.wait({waiting})

    server.open.clear()
    stopped = asyncio.new_event_loop()
    stopped.run_until_complete(leave())
    stopped.close()
    server.open.set()
    assert asyncio.run(jwks.find("one")) is not None, "a fetch without a result starts no cool-down"
    assert server.fetches == 2


async def test_keys_of_other_kinds_and_uses_are_left_out(server: JWKSServer, jwks: JWKS) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    server.publish(
        jwk(ONE, "encryption", use="enc"),
        jwk(RSA, "wrapping", alg="RSA-OAEP"),
        jwk(RSA, "pss", alg="PS256", use="sig"),
        jwk(RSA, "any rsa"),
        jwk(weak, "weak"),
        jwk(ed25519.Ed25519PrivateKey.generate(), "edwards"),
        {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0LXRoYXQtaXMtcHVibGlzaGVk", "alg": "HS256"},
        {**jwk(ONE, None), "kid": 7},
    )
    algorithms: dict[str, Any] = {}
    for kid in ("encryption", "wrapping", "pss", "any rsa", "weak", "edwards", "symmetric"):
        found = await jwks.find(kid)
        algorithms[kid] = found and found[0].algorithms
    assert algorithms == {
        "encryption": None,
        "wrapping": None,
        "pss": ("PS256",),
        "any rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "weak": None,
        "edwards": ("EdDSA",),
        "symmetric": None,
    }
    assert server.fetches == 1


async def test_a_token_without_a_key_id_uses_the_only_key(server: JWKSServer, jwks: JWKS, clock: ManualClock) -> None:
    found = await jwks.find(None)
    assert found is not None and [each.key for each in found] == [ONE.public_key()]
    server.publish(jwk(ONE, "one"), jwk(TWO, "two"))
    clock.now += 300
    assert await jwks.find("two")
    assert await jwks.find(None) is None


async def test_keys_with_the_same_id_or_none_are_all_kept(server: JWKSServer, jwks: JWKS) -> None:
    server.publish(jwk(ONE, None), jwk(TWO, None), jwk(ONE, "one"), jwk(RSA, "one"))
    without, named = await jwks.find(None), await jwks.find("one")
    assert without is not None and [each.key for each in without] == [ONE.public_key(), TWO.public_key()]
    assert named is not None and [each.key for each in named] == [ONE.public_key(), RSA.public_key()]
