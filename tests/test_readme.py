"""The README's client works with its server, and the table of variables equals the settings."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import inspect
import itertools
import os
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from asgi_realtime import Limits, Settings, create_token
from asgi_realtime.variables import variable
from tests.support.paths import DOCS, ROOT, WIRE
from tests.support.servers import Serve

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
SECRET = "a secret of at least thirty-two bytes"


def written(default: Any) -> str:
    """A default in the form of the table."""
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return (
        f"`{','.join(default)}`"
        if isinstance(default, tuple)
        else f"`{default:.15g}`"
        if isinstance(default, float)
        else f"`{default}`"
    )


def attribute_docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a class with the text below each."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in itertools.pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            yield field.target.id, " ".join(str(text.value.value).split())


def test_the_table_has_every_variable_with_its_default_and_consequence() -> None:
    rows = []
    for kind in (Settings, Limits):
        texts = dict(attribute_docstrings(kind))
        for field in dataclasses.fields(kind):
            if field.name != "limits":
                name = variable(field.name)
                text = texts[field.name].removeprefix(f"`{name}`: ")
                rows.append(f"| `{name}` | {written(field.default)} | {text[0].upper()}{text[1:]} |")
    assert re.findall(r"^\| `[A-Z_]+` \|.*\|$", CONFIGURATION, re.MULTILINE) == rows


def block(language: str) -> str:
    """The only block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return str(found)


async def test_the_five_minute_guide_runs(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", SECRET)
    chat = ModuleType("chat")
    monkeypatch.setitem(sys.modules, "chat", chat)
    exec(compile(block("python"), "README.md", "exec"), chat.__dict__)
    server = await serve(chat.app)
    script = block("js").replace("http://localhost:8000", server.url)
    client = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "--eval", script),
        cwd=WIRE,
        env=os.environ | {"TOKEN": create_token("ann", Settings(jwt_secret=SECRET))},
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await client.stdout.readline() == b"welcome, ann\n"
            async with httpx.AsyncClient(base_url=server.url) as http:
                answer = await http.post("/rooms/lobby/messages", params={"text": "hello"})
            assert answer.json() == 1
            assert await client.stdout.readline() == b"hello\n"
    finally:
        client.kill()
        await client.communicate()
