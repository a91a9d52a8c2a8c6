"""`latest.lua` reads the newest publications to a target."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_publish import number_of, publish

TTL = 60_000


def latest(
    scripts: ScriptRedis, *, epoch: str = "", after: int = 0, before: int = 0, count: int = 10
) -> list[tuple[str, str]]:
    names = [scripts.keys.state, scripts.keys.history("a")]
    answer = [text.decode() for text in scripts.run(Script.LATEST, names, TTL, epoch, after, before, count)]
    return list(zip(answer[::2], answer[1::2], strict=True))


def test_the_newest_come_first_and_limits_are_kept(scripts: ScriptRedis) -> None:
    assert latest(scripts) == []
    published = [(publish(scripts, "a", payload=str(number))[0], str(number)) for number in range(4)]
    publish(scripts, "b")
    newest = published[::-1]
    numbers = [number_of(position) for position, _ in published]
    epoch = published[0][0].partition("-")[0]
    assert latest(scripts) == newest
    assert latest(scripts, count=2) == newest[:2]
    assert latest(scripts, before=numbers[2]) == newest[2:]
    assert latest(scripts, epoch=epoch, after=numbers[1]) == newest[:2]
    assert latest(scripts, epoch="another", after=numbers[1]) == newest
    assert latest(scripts, epoch=epoch, after=numbers[0], before=numbers[3], count=1) == newest[1:2]


def test_what_is_older_than_asked_is_left_out(scripts: ScriptRedis) -> None:
    old = scripts.now() - 2 * TTL * 1_000
    scripts.client.execute_command("XADD", scripts.keys.history("a"), f"{old}-0", "p", 0, "d", "old", "o", "o")
    position, _ = publish(scripts, "a", payload="new")
    assert latest(scripts) == [(position, "new")]
