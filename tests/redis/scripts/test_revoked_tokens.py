"""`revoked_tokens.lua` reads revoked tokens page by page."""

from __future__ import annotations

from typing import Any

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_revoke_tokens import revoke


def revoked(scripts: ScriptRedis, skip: int, count: int) -> tuple[int, list[tuple[str, int]]]:
    number, *page = scripts.run(Script.REVOKED_TOKENS, [scripts.keys.revoked_tokens], skip, count)
    texts: list[Any] = page[::2]
    return number, [(text.decode(), left) for text, left in zip(texts, page[1::2], strict=True)]


def test_pages_begin_with_those_that_end_last(scripts: ScriptRedis) -> None:
    assert revoked(scripts, 0, 10) == (0, [])
    revoke(scripts, "a", 10_000, "b", 30_000, "c", 20_000)
    number, page = revoked(scripts, 0, 2)
    assert number == 3
    assert [text for text, _ in page] == ["b", "c"]
    assert all(0 < left <= 30_000 for _, left in page)
    assert page[0][1] > page[1][1]
    number, page = revoked(scripts, 2, 2)
    assert (number, [text for text, _ in page]) == (3, ["a"])


def test_their_number_can_be_read_alone_and_leaves_out_those_that_have_ended(scripts: ScriptRedis) -> None:
    revoke(scripts, "a", 10_000)
    scripts.client.zadd(scripts.keys.revoked_tokens, {"ended": scripts.now() // 1_000 - 1})
    assert revoked(scripts, 0, 0) == (1, [])
    assert scripts.client.zcard(scripts.keys.revoked_tokens) == 1
