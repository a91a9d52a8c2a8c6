"""`publish.lua` numbers, keeps and publishes."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_realtime.redis.link import Argument
from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

FUTURE = 9_000_000_000_000_000
"""A number that Redis' clock has not reached, in microseconds."""


def publish(
    scripts: ScriptRedis,
    *suffixes: str,
    epoch: str = "e",
    size: int = 100,
    ttl: int = 60_000,
    payload: str = "payload",
    origin: str = "o",
    ago: int = 0,
    key: str | None = None,
    command: bool = False,
) -> tuple[str, int]:
    """Position, and whether it is new. `ago`: it may have been published since then, in microseconds."""
    keys = scripts.keys
    names = [keys.state] if key is None else [keys.state, keys.receipt(key)]
    for suffix in suffixes:
        names += keys.last(suffix), keys.history(suffix)
    arguments: list[Argument] = [
        epoch,
        size,
        ttl,
        ttl if key else 0,
        "PUBLISH",
        payload,
        origin,
        scripts.now() - ago if ago else 0,
    ]
    position, is_new = scripts.run(
        Script.PUBLISH, names, *arguments, *map(keys.channel, suffixes), *([1] if command else [])
    )
    return position.decode(), is_new


def number_of(position: str) -> int:
    return int(position.partition("-")[2])


def entries(scripts: ScriptRedis, suffix: str) -> list[tuple[int, dict[bytes, bytes]]]:
    found: Any = scripts.client.xrange(scripts.keys.history(suffix))
    return [(int(entry_id.partition(b"-")[0]), fields) for entry_id, fields in found]


def test_the_number_is_the_time_of_redis_and_the_epoch_that_of_the_first_publication(scripts: ScriptRedis) -> None:
    before = scripts.now()
    first, is_new = publish(scripts, "r:a", epoch="1")
    second, _ = publish(scripts, "r:a", epoch="2")
    assert is_new == 1
    assert first.startswith("1") and second.partition("-")[0] == first.partition("-")[0]
    assert before <= number_of(first) < number_of(second) <= scripts.now()


def test_each_history_has_an_epoch_of_its_own_also_if_one_process_begins_both(scripts: ScriptRedis) -> None:
    first, _ = publish(scripts, "r:a")
    scripts.client.delete(scripts.keys.state)
    second, _ = publish(scripts, "r:a")
    assert first.partition("-")[0] != second.partition("-")[0]


def test_numbers_increase_although_the_clock_went_back(scripts: ScriptRedis) -> None:
    scripts.client.hset(scripts.keys.state, mapping={"epoch": "e", "seq": FUTURE})
    assert publish(scripts, "r:a") == (f"e-{FUTURE + 1}", 1)
    assert publish(scripts, "r:b") == (f"e-{FUTURE + 2}", 1)


@pytest.mark.parametrize(("ahead", "longer"), [(40_000, 40_000), (4_000_000, 3_600_000)])
def test_keys_are_kept_for_as_much_longer_as_the_clock_went_back_but_an_hour_at_most(
    scripts: ScriptRedis, ahead: int, longer: int
) -> None:
    scripts.client.hset(scripts.keys.state, mapping={"epoch": "e", "seq": scripts.now() + ahead * 1_000})
    keys = scripts.keys.last("r:a"), scripts.keys.history("r:a")
    for _ in range(2):
        publish(scripts, "r:a", ttl=60_000)
        for key in keys:
            assert 66_000 + longer < scripts.milliseconds_left(key) <= 76_000 + longer
            scripts.client.pexpire(key, 30_000)
    scripts.client.hset(scripts.keys.state, "seq", scripts.now())
    scripts.client.delete(*keys)
    publish(scripts, "r:a", ttl=60_000)
    assert all(scripts.milliseconds_left(key) <= 76_000 for key in keys)


def test_history_has_the_number_before_at_the_same_target(scripts: ScriptRedis) -> None:
    first, second, third = (
        number_of(publish(scripts, *suffixes, payload=payload, origin=payload)[0])
        for suffixes, payload in ((["r:a"], "1"), (["r:b"], "2"), (["r:a", "r:b"], "3"))
    )
    assert entries(scripts, "r:a") == [
        (first, {b"p": b"0", b"d": b"1", b"o": b"1"}),
        (third, {b"p": b"%d" % first, b"d": b"3", b"o": b"3"}),
    ]
    assert entries(scripts, "r:b") == [
        (second, {b"p": b"0", b"d": b"2", b"o": b"2"}),
        (third, {b"p": b"%d" % second, b"d": b"3", b"o": b"3"}),
    ]
    assert [scripts.client.get(scripts.keys.last(suffix)) for suffix in ("r:a", "r:b")] == [b"%d" % third] * 2


def test_each_target_gets_one_message_with_position_and_the_number_before(scripts: ScriptRedis) -> None:
    with scripts.client.pubsub(ignore_subscribe_messages=True) as subscriber:
        channels = [scripts.keys.channel(suffix) for suffix in ("u:ada", "u:bob")]
        subscriber.subscribe(*channels)
        before, _ = publish(scripts, "u:bob", payload="before")
        both, _ = publish(scripts, "u:ada", "u:bob", payload="both")
        messages: list[tuple[str, str]] = []
        while len(messages) < 3:
            message = subscriber.get_message(timeout=10)
            if message is not None:
                messages.append((message["channel"].decode(), message["data"].decode()))
    assert messages == [
        (channels[1], f"{before}:0:before"),
        (channels[0], f"{both}:0:both"),
        (channels[1], f"{both}:{number_of(before)}:both"),
    ]


def test_a_key_is_published_once(scripts: ScriptRedis) -> None:
    first = publish(scripts, "r:a", key="k")
    assert publish(scripts, "r:a", key="k") == (first[0], 0)
    assert publish(scripts, "r:a", key="other")[1] == 1
    assert len(entries(scripts, "r:a")) == 2
    assert 0 < scripts.milliseconds_left(scripts.keys.receipt("k")) <= 60_000


MINUTE = 60_000_000
UNKNOWN = ("", 2)


def test_what_may_have_been_published_is_looked_up_by_its_origin(scripts: ScriptRedis) -> None:
    position, _ = publish(scripts, "r:a", origin="mine")
    publish(scripts, "r:a", origin="another")
    assert publish(scripts, "r:a", origin="mine", ago=MINUTE) == (position, 0)
    assert publish(scripts, "r:a", origin="not yet", ago=MINUTE)[1] == 1
    assert len(entries(scripts, "r:a")) == 3


def test_it_is_found_behind_any_number_of_others(scripts: ScriptRedis) -> None:
    position, _ = publish(scripts, "r:a", origin="mine", size=5_000)
    for _ in range(2_500):
        publish(scripts, "r:a", origin="another", size=5_000)
    assert publish(scripts, "r:a", origin="mine", ago=MINUTE) == (position, 0)


@pytest.mark.parametrize("size", [0, 2])
def test_it_is_unknown_if_history_does_not_reach_back(scripts: ScriptRedis, size: int) -> None:
    publish(scripts, "r:a", origin="mine", size=size)
    for _ in range(3):
        publish(scripts, "r:a", origin="another", size=size)
    before = entries(scripts, "r:a")
    assert publish(scripts, "r:a", origin="mine", ago=MINUTE, size=size) == UNKNOWN
    assert entries(scripts, "r:a") == before


@pytest.mark.parametrize("size", [0, 2])
def test_it_is_new_if_nothing_followed_since_it_was_tried(scripts: ScriptRedis, size: int) -> None:
    for _ in range(3):
        position, _ = publish(scripts, "r:a", size=size)
    while scripts.now() <= number_of(position) + 2_000:
        pass
    assert publish(scripts, "r:a", origin="mine", ago=1_000, size=size)[1] == 1
    assert publish(scripts, "r:never used", origin="mine", ago=MINUTE, size=size)[1] == 1
    assert publish(scripts, origin="mine", ago=MINUTE)[1] == 1


def test_with_a_key_the_receipt_says_it(scripts: ScriptRedis) -> None:
    publish(scripts, "r:a", size=0)
    position, is_new = publish(scripts, "r:a", origin="mine", key="k", ago=MINUTE, size=0)
    assert is_new == 1
    assert publish(scripts, "r:a", origin="mine", key="k", ago=MINUTE, size=0) == (position, 0)


def test_one_target_whose_history_reaches_back_is_enough(scripts: ScriptRedis) -> None:
    for _ in range(3):
        publish(scripts, "r:busy", size=2)
    assert publish(scripts, "r:busy", "r:quiet", origin="mine", ago=MINUTE, size=2)[1] == 1
    position = publish(scripts, "r:busy", "r:quiet", origin="yours", size=2)[0]
    for _ in range(3):
        publish(scripts, "r:busy", size=2)
    assert publish(scripts, "r:busy", "r:quiet", origin="yours", ago=MINUTE, size=2) == (position, 0)


def test_the_oldest_entries_of_a_target_are_dropped(scripts: ScriptRedis) -> None:
    numbers = [number_of(publish(scripts, "r:a", size=2)[0]) for _ in range(3)]
    assert [number for number, _ in entries(scripts, "r:a")] == numbers[1:]


def test_no_target_gets_a_number_and_keeps_nothing(scripts: ScriptRedis) -> None:
    _, is_new = publish(scripts)
    assert is_new == 1
    assert scripts.client.keys(f"{scripts.keys.state[:-1]}*") == [scripts.keys.state.encode()]


def test_keys_are_kept_longer_than_asked_and_their_expiry_is_moved_in_steps(scripts: ScriptRedis) -> None:
    ttl = 1_000_000_000
    names = [scripts.keys.last("r:a"), scripts.keys.history("r:a")]
    position, _ = publish(scripts, "r:a", ttl=ttl)
    for name in names:
        assert 1.24 * ttl < scripts.milliseconds_left(name) <= 1.25 * ttl + 1_000
        scripts.client.execute_command("PEXPIRE", name, 50_000)
    publish(scripts, "r:a", ttl=ttl)
    assert all(0 < scripts.milliseconds_left(name) <= 50_000 for name in names)  # within an eighth of the time
    scripts.client.execute_command("SET", names[0], number_of(position) - ttl * 125, "KEEPTTL")
    publish(scripts, "r:a", ttl=ttl)
    assert all(scripts.milliseconds_left(name) > 1.24 * ttl for name in names)
    assert scripts.milliseconds_left(scripts.keys.state) == -1


def test_the_number_of_the_last_command_is_kept_without_an_end(scripts: ScriptRedis) -> None:
    def last_command() -> bytes | None:
        found: bytes | None = scripts.client.hget(scripts.keys.state, "command")
        return found

    publish(scripts, "c")  # a revocation, which is kept elsewhere
    assert last_command() is None
    position, _ = publish(scripts, "c", command=True)
    publish(scripts, "r:a")
    assert last_command() == str(number_of(position)).encode()
    assert scripts.milliseconds_left(scripts.keys.state) == -1
    assert scripts.run(Script.STATE, [scripts.keys.state], "e")[3] == last_command()
