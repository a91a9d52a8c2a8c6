"""`state.lua` returns where the history of a gateway is."""

from __future__ import annotations

import pytest

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def test_the_first_call_begins_a_history_at_the_time_of_redis(scripts: ScriptRedis) -> None:
    before = scripts.now()
    epoch, number, now, command = scripts.run(Script.STATE, [scripts.keys.state], "first")
    assert epoch == b"first"
    assert (number, command) == (now, None)
    assert before <= int(now) <= scripts.now()
    again = scripts.run(Script.STATE, [scripts.keys.state], "second")
    assert again[:2] == [b"first", number]
    assert int(again[2]) > int(now)


@pytest.mark.parametrize("count", [1, 999, 1_000, 2_001])
def test_the_last_number_of_each_target_is_returned(scripts: ScriptRedis, count: int) -> None:
    names = [scripts.keys.last(f"r:{number}") for number in range(count)]
    scripts.client.mset({name: number for number, name in enumerate(names) if number % 3 == 0})
    answer = scripts.run(Script.STATE, [scripts.keys.state, *names], "e")
    assert answer[4:] == [b"%d" % number if number % 3 == 0 else None for number in range(count)]
