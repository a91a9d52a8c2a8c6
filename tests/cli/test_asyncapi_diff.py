"""`asgi-realtime asyncapi diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from asgi_realtime import SocketIOGateway, down
from asgi_realtime.cli.commands import main
from asgi_realtime.schema.asyncapi.document import asyncapi


def document(*names: str) -> str:
    events = tuple(down(name, str, to="all") for name in names)
    return json.dumps(asyncapi([type("Board", (SocketIOGateway,), {"events": events})]))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Documents of an event, of two, and of another one."""
    found = []
    for name, text in (("one", document("a")), ("two", document("a", "b")), ("other", document("b"))):
        path = tmp_path / name
        path.write_text(text)
        found.append(str(path))
    return found


def run(*arguments: str, stdin: str = "") -> Any:
    return CliRunner().invoke(main, ["asyncapi", "diff", *arguments], input=stdin)


def test_the_exit_code_says_whether_clients_break(files: list[str]) -> None:
    one, two, other = files
    assert [run(*pair).exit_code for pair in ((one, one), (one, two), (two, one), (one, other))] == [0, 0, 1, 1]


def test_each_difference_is_printed_with_its_place(files: list[str]) -> None:
    one, two, other = files
    assert run(one, one).output == "no differences\n"
    assert run(one, other).output.splitlines() == [
        "breaks  Socket.IO / the server sends a  the event is gone",
        "fine    Socket.IO / the server sends b  the event is new",
    ]


def test_json_has_the_same_differences(files: list[str]) -> None:
    one, two, other = files
    assert json.loads(run(one, one, "--json").output) == []
    printed = run("--json", two, one)
    assert printed.exit_code == 1
    assert json.loads(printed.output) == [
        {"place": "Socket.IO / the server sends b", "change": "the event is gone", "breaking": True}
    ]


def test_a_document_may_come_from_the_standard_input(files: list[str]) -> None:
    one, two, other = files
    assert run(one, "-", stdin=Path(two).read_text()).exit_code == 0
    assert run("-", one, stdin=Path(two).read_text()).exit_code == 1


@pytest.mark.parametrize("text", ["", "[1", "{}", "\udcff", "[" * 100_000 + "]" * 100_000, '{"asyncapi": "2.0.0"}'])
def test_what_is_no_document_is_wrong_usage(files: list[str], tmp_path: Path, text: str) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(text, encoding="utf-8", errors="surrogateescape")
    done = run(files[0], str(wrong))
    assert done.exit_code == 2
    assert "Invalid value: " in done.output
    assert run(files[0], str(tmp_path / "missing")).exit_code == 2
