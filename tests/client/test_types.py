"""Strict type checkers accept the generated clients and their use, and report mistakes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT, WIRE

PROGRAM = """
from typing import assert_never

from asgi_realtime.client import Connected, Missed, Reconnection
from generated import chat, counters, jobs, mew, workshop


async def sends(client: workshop.WorkshopClient, desk: counters.CountersClient) -> None:
    drawn = await client.draw({"boardId": "b", "colour": "red", "width": 1})
    number: int = drawn["strokes"]
    await client.draw({"boardId": "b", "colour": "green", "width": 1})  # refused
    await client.draw({"boardId": "b"})  # refused
    await client.tool_choose({"name": "pen"})
    await client.tool_choose({"name": "pen", "sizes": ["1"]})  # refused
    await client.move("1", "here")  # refused
    text: str = await client.move(1, "here")  # refused
    await client.upload("text")  # refused
    await client.shape({"kind": "circle", "radius": 1})
    await client.shape({"kind": "circle", "side": 1})  # refused
    await client.nothing()  # refused
    await desk.count({"strokes": 1})
    await desk.count({"strokes": None})  # refused
    print(number, text)


async def receives(client: workshop.WorkshopClient, chats: chat.ChatClient, mews: mew.MewClient) -> None:
    stroke = await client.expect(workshop.StrokeEvent, where=lambda stroke: stroke["width"] > 1)
    width: float = stroke["width"]
    name: int = stroke["boardId"]  # refused
    await client.expect(workshop.StrokeEvent, where=lambda stroke: stroke["color"] == "red")  # refused
    await client.expect("stroke")  # refused
    recovered: bool = await client.expect(Connected)
    online: list[str] = await mews.expect(mew.PresenceInitialStateEvent)
    shape = await client.expect(workshop.ShapeEvent)
    if shape["kind"] == "circle":
        print(shape["radius"])
    else:
        print(shape["radius"])  # refused
    async for event in chats:
        if isinstance(event, chat.MessageEvent):
            print(event.data["content"].upper(), event.data["contents"])  # refused
    print(width, name, recovered, online)


async def matches(client: counters.CountersClient) -> None:
    async for event in client:
        match event:
            case counters.CountedEvent(drawn):
                print(drawn["strokes"] + 1)
            case counters.ShapeEvent() | counters.ClearedEvent() | counters.PongEvent():
                print(event.name)
            case counters.AuthSuccessEvent() | counters.AuthErrorEvent() | counters.ErrorEvent(data={"code": "X"}):
                pass
            case counters.ErrorEvent(error):
                print(error["message"])
            case Connected(recovered=True):
                pass
            case Connected() | Missed():
                print(event.data)
            case _:
                assert_never(event)


async def token() -> str:
    return ""


def makes() -> None:
    mew.MewClient("https://example.com", auth=token, reconnection=Reconnection(attempts=3))
    workshop.WorkshopClient("https://example.com", auth=lambda: {"token": ""}, transports=["polling"])
    workshop.WorkshopClient("https://example.com", transports=["pigeon"])  # refused
    jobs.JobsClient("https://example.com", auth=7)  # refused
    jobs.JobsClient("https://example.com", transports=["polling"])  # refused
"""
"""Each line that ends so has a mistake, and no other line has one."""
WRONG = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# refused")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    shutil.copytree(ROOT / "tests" / "support" / "clients", folder / "generated")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    return folder


def test_mypy_refuses_the_mistakes_and_nothing_else(folder: Path) -> None:
    command = (sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary", "--cache-dir", "cache")
    # To read aiohttp and websockets takes most of the time, and no type of theirs is in a client's methods.
    without = ("--no-site-packages", "--ignore-missing-imports", "--follow-imports", "silent")
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        (*command, *without, "program.py", "generated"), cwd=folder, env=environment, capture_output=True, text=True
    )
    found = [re.fullmatch(r"(.+?):(\d+): error: (.+)", line) for line in done.stdout.splitlines()]
    problems = [(match[1], int(match[2]), match[3]) for match in found if match is not None]
    assert {(file, line) for file, line, _ in problems} == {("program.py", line) for line in WRONG}, done.stdout


def test_pyright_refuses_the_mistakes_and_nothing_else(folder: Path) -> None:
    settings = {"typeCheckingMode": "strict", "include": ["program.py", "generated"], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = (
        "node",
        str(WIRE / "node_modules" / "pyright" / "index.js"),
        "--outputjson",
        "--pythonpath",
        sys.executable,
    )
    done = subprocess.run((*command, "--project", str(folder)), capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 9
    problems = [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
        for each in report["generalDiagnostics"]
    ]
    assert {(file, line) for file, line, _ in problems} == {("program.py", line) for line in WRONG}, problems
