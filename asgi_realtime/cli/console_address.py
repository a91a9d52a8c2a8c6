"""The address of a console, as a command is given it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

import click

PATH: Final = "/realtime-console"
"""The path of a console that is mounted without another one."""
EXAMPLE: Final = f"http://127.0.0.1:8000{PATH}"
_NO_ADDRESS: Final = f"write the address of the console's page, such as {EXAMPLE}"
"""What was given is not repeated: it may have a secret in it."""
_PORTS: Final = {"http": 80, "https": 443}


class ConsoleAddress(NamedTuple):
    """Where a console is."""

    secure: bool
    """Whether it is reached by TLS."""
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return self.origin + self.path

    @property
    def origin(self) -> str:
        """The origin of the console's page."""
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" if self.port == _PORTS[scheme] else f"{scheme}://{host}:{self.port}"

    @property
    def websocket(self) -> str:
        """The address of its WebSocket."""
        return str(self).replace("http", "ws", 1)


def console_address(url: str) -> ConsoleAddress:
    """Read an address. Without a path it is `PATH`.

    Raises:
        click.BadParameter: it is no such address, or has a secret in it.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise _wrong(_NO_ADDRESS) from None
    if parts.username is not None or parts.password is not None:
        raise _wrong("the address must not have a secret in it; set MEW_CONSOLE_SECRET")
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise _wrong(_NO_ADDRESS)
    path = parts.path.rstrip("/") or PATH
    return ConsoleAddress(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], path)


def _wrong(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="'--console'")
