"""Real proxies of Debian with the configurations of docs/operations/deployment.md, on free ports of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeAlias

from tests.support.paths import DEPLOYMENT
from tests.support.redis_server import free_port

NO_CHANGES: Final[Mapping[str, str]] = {}
Proxy: TypeAlias = Callable[..., AbstractAsyncContextManager[int]]
_SERVERS: Final = re.compile(r"^ +server .*172\.28\.0\.1\d:8000.*\n", re.MULTILINE)
_TEMPORARY: Final = "".join(
    f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


@contextlib.asynccontextmanager
async def nginx(
    folder: Path, *servers: int, changes: Mapping[str, str] = NO_CHANGES, http: str = "", server: str = ""
) -> AsyncIterator[int]:
    """Run nginx in front of the servers on these ports. Returns its own port.

    Args:
        folder: where its configuration and its log `access.log` are.
        servers: ports on 127.0.0.1.
        changes: other texts for texts of the configuration.
        http: more lines for its block `http`.
        server: more lines for its block `server`.
    """
    port = free_port()
    text = _configuration("nginx.conf", servers, changes)
    for old, new in (
        ("listen 151;", f"listen 127.0.0.1:{port};\n{server}"),
        ("/var/log/nginx/access.log", str(folder / "access.log")),
        ("http {", f"http {{\n{_TEMPORARY}{http}"),
    ):
        text = _replaced(text, old, new)
    file = folder / "nginx.conf"
    file.write_text(text)
    user = "user root;" if os.getuid() == 0 else ""
    options = f"daemon off; pid {folder}/nginx.pid; error_log stderr warn; {user}"
    async with _running(folder, port, "nginx", "-p", str(folder), "-c", str(file), "-g", options):
        yield port


@contextlib.asynccontextmanager
async def haproxy(folder: Path, *servers: int, changes: Mapping[str, str] = NO_CHANGES) -> AsyncIterator[int]:
    """Run HAProxy in the same way."""
    port = free_port()
    text = _replaced(_configuration("haproxy.cfg", servers, changes), "bind :151", f"bind 127.0.0.1:{port}")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    async with _running(folder, port, "haproxy", "-db", "-f", str(file)):
        yield port


def _configuration(name: str, servers: tuple[int, ...], changes: Mapping[str, str]) -> str:
    text = (DEPLOYMENT / name).read_text()
    lines = _SERVERS.findall(text)
    assert len(lines) >= len(servers), f"{name} has {len(lines)} servers"
    for number, line in enumerate(lines):
        address = f"127.0.0.1:{servers[number]}" if number < len(servers) else ""
        text = text.replace(line, re.sub(r"172\.28\.0\.1\d:8000", address, line) if address else "")
    for old, new in changes.items():
        text = _replaced(text, old, new)
    return text


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} is in the configuration {text.count(old)} times"
    return text.replace(old, new)


@contextlib.asynccontextmanager
async def _running(folder: Path, port: int, program: str, *arguments: str) -> AsyncIterator[None]:
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    assert found is not None, f"scripts/system-packages installs {program}"
    log = folder / f"{program}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(found, *arguments, stdout=file, stderr=file)
    try:
        async with asyncio.timeout(10):
            while True:
                assert process.returncode is None, log.read_text()
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                await asyncio.sleep(0.02)  # no event says that it listens
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
