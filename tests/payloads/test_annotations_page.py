"""Every row of the table on docs/guides/gateways.md that says what an annotation means."""

from __future__ import annotations

import functools
import json
import re
import sys
from types import ModuleType
from typing import Any

import pytest

from asgi_realtime import Connection, SocketIOGateway
from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.handlers.event_handlers import bind_handler
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.payloads.validation import decide, validator
from tests.support.paths import DOCS
from tests.support.recording import World
from tests.test_docs import code_of

PAGE = DOCS / "guides/gateways.md"
TABLE = PAGE.read_text(encoding="utf-8").partition("## What an annotation means")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in TABLE.splitlines()
    if line.startswith("| `")
]
CONNECTION = World().connection("ann")[0].public
BROADCASTER: Any = object()


@functools.cache
def page() -> dict[str, Any]:
    """The names that the page defines."""
    module = ModuleType("page_of_annotations")
    sys.modules[module.__name__] = module  # where annotations are looked up
    exec(compile(code_of(PAGE), PAGE, "exec"), module.__dict__)
    return {**vars(module), "null": None, "true": True, "false": False}


def values(cell: str) -> list[Any]:
    return [eval(code, page()) for code in re.findall(r"`([^`]*)`", cell)]


def begin(annotation: Any, *sent: Any) -> Any:
    async def handler(value: Any) -> Any:
        return value

    handler.__annotations__ = {"value": annotation}
    work = bind_handler("event", handler, BROADCASTER)(CONNECTION, sent)
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


def test_the_table_of_the_page_is_parsed() -> None:
    assert len(ROWS) > 40
    assert {row[1] for row in ROWS} == {"msgspec", "pydantic", "injected", "refused"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_of_the_table_holds(row: list[str]) -> None:
    cell, by, takes, refuses, sent = row
    (annotation,) = values(cell)
    if by == "refused":
        with pytest.raises(ConfigurationError, match="handler .* of 'event': parameter 'value': "):
            begin(annotation)
    elif by == "injected":
        found = begin(annotation, "not taken")
        assert found in (CONNECTION, CONNECTION.identity, BROADCASTER)
    else:
        assert decide(annotation) == by
        taken = [begin(annotation, value) for value in values(takes)]
        for value in values(refuses):
            with pytest.raises(InvalidMessage):
                validator(annotation)(value)
        _is_sent(taken[0], *values(sent))


def _is_sent(value: Any, expected: Any) -> None:
    payload, attachments = encode(value)
    if isinstance(expected, bytes):
        assert attachments == (expected,)
    else:
        assert attachments == ()
        assert json.loads(payload) == expected


def test_the_handler_on_the_page_works_in_a_gateway() -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("note")
    async def note(note: Any, connection: Connection) -> None: ...

    note.__annotations__["note"] = page()["Note"]
    work = bind_handler("note", note, BROADCASTER)(CONNECTION, [{"title": "abc"}])
    work.close()
