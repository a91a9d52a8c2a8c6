"""Checks the name of a gateway to be mounted."""

from __future__ import annotations

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.values.gateway_names import is_gateway_name


def check_name(name: object, where: str) -> None:
    """Refuse a name that is neither a namespace nor a path.

    Raises:
        ConfigurationError: with an example.
    """
    if not isinstance(name, str) or not is_gateway_name(name):
        raise ConfigurationError(f"{where} looks like '/chat', with a slash in front, not {name!r}")
