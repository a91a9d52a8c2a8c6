"""`asgi-realtime types`: the files that it writes, and its errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from asgi_realtime import SocketIOGateway, WebSocketGateway, down
from asgi_realtime.cli.commands import main
from asgi_realtime.schema.typescript.files import typescript

COLOUR = "red"


class BoardGateway(SocketIOGateway):
    events = (down("drawn", str, to="the board"),)


class StreamGateway(WebSocketGateway):
    events = (down("grown", int, to="all"),)


def test_the_command_writes_files_and_accepts_gateways_of_the_user(tmp_path: Path) -> None:
    name = f"{__name__}:BoardGateway"
    done = CliRunner().invoke(main, ["types", name, f"{__name__}:StreamGateway", "--output", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"board.ts", "stream.ts"}
    assert (tmp_path / "new" / "board.ts").read_text(encoding="utf-8") == typescript(BoardGateway)
    assert CliRunner().invoke(main, ["types", name]).output == typescript(BoardGateway)
    stream = typescript(StreamGateway)
    assert CliRunner().invoke(main, ["types", name, f"{__name__}:StreamGateway"]).output == (
        f"// board.ts\n{typescript(BoardGateway)}\n// stream.ts\n{stream}"
    )
    assert CliRunner().invoke(main, ["types", name, "--output", str(tmp_path / "web" / "mine.ts")]).exit_code == 0
    assert (tmp_path / "web" / "mine.ts").read_text(encoding="utf-8") == typescript(BoardGateway)


def test_an_unwritable_type_prints_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = CliRunner().invoke(main, ["types", "--output", str(tmp_path / "taken")])
    assert done.exit_code == 1
    assert "Error: cannot write " in done.output
    done = CliRunner().invoke(main, ["types", "--output", str(tmp_path / "all.ts")])
    assert done.exit_code == 2
    assert "name a directory" in done.output


@pytest.mark.parametrize("name", ["no.such.module:X", f"{__name__}:Missing", f"{__name__}:COLOUR", "", ":"])
def test_a_name_that_is_not_a_gateway_prints_one_sentence(name: str) -> None:
    done = CliRunner().invoke(main, ["types", name])
    assert done.exit_code == 2
    assert "Invalid value" in done.output


def test_a_missing_gateway_prints_those_that_the_module_defines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boards_of_test.py").write_text(
        "from asgi_realtime import SocketIOGateway, WebSocketGateway\n"
        "class Board(SocketIOGateway): ...\n"
        "chat = WebSocketGateway('/chat')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["types", "boards_of_test:Nope"])
    assert done.exit_code == 2
    assert "boards_of_test has no Nope; its gateways are: Board, chat\n" in done.output


def test_without_click_a_message_names_the_package_to_install() -> None:
    code = "import runpy, sys; sys.modules['click'] = None; runpy.run_module('asgi_realtime', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "asgi-realtime needs the extra cli: pip install 'asgi_realtime[cli]'\n"
