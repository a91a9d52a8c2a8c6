"""What a gateway may be mounted as."""

from __future__ import annotations

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.values.text import is_whole


def check_name(name: object, where: str) -> None:
    """Refuse what is neither a namespace nor a path.

    Raises:
        ConfigurationError: with an example.
    """
    if not isinstance(name, str) or not name.startswith("/") or not name.isprintable() or not is_whole(name):
        raise ConfigurationError(f"{where} looks like '/chat', with a slash in front, not {name!r}")
