"""docs/guides/python-client.md shows what is written, and the clients import nothing of the server."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType

import pytest

from asgi_realtime.schema.python.files import python_client
from tests.support.new_python import printed_by
from tests.support.paths import DOCS, ROOT
from tests.test_docs import FILE

PAGE = (DOCS / "guides/python-client.md").read_text(encoding="utf-8")


def test_the_page_shows_the_module_of_its_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    (declared,) = re.findall(r"^For this gateway\n\n```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    module = ModuleType("board_of_the_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where annotations are looked up
    exec(declared, module.__dict__)
    assert FILE.findall(PAGE) == [("board_client.py", python_client(vars(module)["BoardGateway"]))]


def test_clients_import_nothing_of_the_server() -> None:
    code = (
        "import sys\n"
        "for name in ('starlette', 'redis', 'jwt', 'msgspec', 'anyio', 'pydantic'): sys.modules[name] = None\n"
        "from tests.support.clients import chat, mew\n"
        "print(*sorted({'socketio', 'aiohttp', 'websockets'} & set(sys.modules)))\n"
        "import asgi_realtime.client.socketio_link, asgi_realtime.client.websocket_link\n"
        "print(*sorted({each.split('.')[1] for each in sys.modules if each.startswith('asgi_realtime.')}))\n"
    )
    assert printed_by(code) == "\nclient errors runtime values\n"  # the lowest floor, without other packages


def test_without_aiohttp_a_message_names_the_extra() -> None:
    code = (
        "import asyncio, sys\n"
        "sys.modules['aiohttp'] = None\n"
        "from tests.support.clients.mew import MewClient\n"
        "asyncio.run(MewClient('http://localhost:1').connect())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.endswith(
        "ImportError: a client of Socket.IO needs aiohttp: pip install 'asgi_realtime[client]'\n"
    )
