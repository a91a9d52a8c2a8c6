"""`asgi-realtime client` and `types --check`: the files that they write and compare, and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asgi_realtime import SocketIOGateway, WebSocketGateway, down
from asgi_realtime.cli.commands import main
from asgi_realtime.schema.python.files import python_client
from tests.support.workshop import CountersGateway, WorkshopGateway

WORKSHOP = "tests.support.workshop:WorkshopGateway"
COUNTERS = "tests.support.workshop:CountersGateway"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_modules_are_written_for_gateways_of_the_user(tmp_path: Path) -> None:
    assert run("client", WORKSHOP, COUNTERS, "--output", tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "workshop.py").read_text(encoding="utf-8") == python_client(WorkshopGateway)
    assert (tmp_path / "new" / "counters.py").read_text(encoding="utf-8") == python_client(CountersGateway)
    assert run("client", COUNTERS).output == python_client(CountersGateway)
    assert run("client", COUNTERS, "--output", tmp_path / "mine.py").exit_code == 0
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == python_client(CountersGateway)


@pytest.mark.parametrize(("command", "file"), [("client", "counters.py"), ("types", "counters.ts")])
def test_a_check_finds_files_that_differ_and_writes_nothing(command: str, file: str, tmp_path: Path) -> None:
    check = (command, COUNTERS, "--output", tmp_path, "--check")
    done = run(*check)
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert f"Error: not as declared: {tmp_path / file}; run the command again without --check\n" in done.output
    run(command, COUNTERS, "--output", tmp_path)
    assert run(*check).exit_code == 0
    (tmp_path / file).write_text("changed")
    assert run(*check).exit_code == 1
    assert (tmp_path / file).read_text() == "changed"
    (tmp_path / file).write_bytes(b"\xff")
    assert "cannot read" in run(*check).output
    assert run(command, COUNTERS, "--check").exit_code == 2


LEFT, RIGHT = SocketIOGateway("/board"), WebSocketGateway("/board")
CYRILLIC = SocketIOGateway("/\N{CYRILLIC SMALL LETTER CHE}")


@pytest.mark.parametrize(("command", "file"), [("client", "board.py"), ("types", "board.ts")])
def test_two_gateways_with_one_file_are_refused(command: str, file: str, tmp_path: Path) -> None:
    gateways = (f"{__name__}:LEFT", f"{__name__}:RIGHT")
    for more in ((), ("--check",)):
        done = run(command, *gateways, "--output", tmp_path, *more)
        assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
        assert f"several gateways have the file {file}" in done.output
    assert run(command, *gateways).exit_code == 0


@pytest.mark.parametrize(("command", "file"), [("client", "gateway_447.py"), ("types", "gateway-447.ts")])
def test_a_gateway_without_an_ascii_name_has_a_file(command: str, file: str, tmp_path: Path) -> None:
    assert run(command, f"{__name__}:CYRILLIC", "--output", tmp_path / "new").exit_code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file]


def test_a_type_of_the_application_is_imported(tmp_path: Path) -> None:
    text = run("client", WORKSHOP, "--host-type", "Thing=app.things:Thing").output
    assert "\nfrom app.things import Thing\n" in text
    assert "Thing: TypeAlias" not in text
    assert "import Whatever as Thing" in run("client", WORKSHOP, "--host-type", "Thing=app:Whatever").output
    done = run("client", WORKSHOP, "--host-type", "Other=app:Other")
    assert (done.exit_code, "Other: the gateway names no such type" in done.output) == (1, True)
    for wrong in ("Thing", "Thing=app", "Thing=:x", "1=app:x"):
        assert run("client", WORKSHOP, "--host-type", wrong).exit_code == 2


class HalfCharacter(SocketIOGateway):
    """An event whose name UTF-8 cannot encode."""

    events = (down("\ud83d", to="all"),)


@pytest.mark.parametrize("command", ["client", "types"])
def test_half_a_character_in_a_name_is_refused(command: str) -> None:
    done = run(command, f"{__name__}:HalfCharacter")
    assert (done.exit_code, "can't encode character" in done.output) == (1, True)
