"""Reads the setting `ASGI_REALTIME`, and the environment variables, which win over it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import django.conf
from django.utils.module_loading import import_string

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.settings import Settings, environment, known_variables

NAME = "ASGI_REALTIME"
_GATEWAYS = "GATEWAYS"


def get_settings() -> Settings:
    """The configuration of this project: the setting `ASGI_REALTIME`, and the environment variables, which win.

    Raises:
        ConfigurationError: for an unknown key or a wrong value. The message names it.
    """
    given = {name: _text(name, value) for name, value in _read().items() if name != _GATEWAYS}
    # An empty variable counts as unset. Only an empty CORS_ORIGIN has a meaning.
    variables = {name: text for name, text in environment().items() if text.strip() or name == "CORS_ORIGIN"}
    return Settings.from_env({**given, **variables})


def read_gateways() -> Sequence[Mountable]:
    """The gateways of this project. Their module is imported now, so Django must be set up.

    Raises:
        ConfigurationError: if the setting does not name them, or what it names cannot be imported.
    """
    path = _read().get(_GATEWAYS)
    if not isinstance(path, str):
        raise ConfigurationError(
            f'{NAME}: {_GATEWAYS} must be the dotted path of a list of gateways, such as "chat.realtime.GATEWAYS"'
        )
    try:
        gateways: Sequence[Mountable] = import_string(path)
    except ImportError as error:
        raise ConfigurationError(f"{NAME}: {_GATEWAYS}: {error}") from error
    return gateways


def _read() -> Mapping[str, Any]:
    """The setting.

    Raises:
        ConfigurationError: if it is missing or no dict, or a key is unknown.
    """
    found: Any = getattr(django.conf.settings, NAME, None)
    if not isinstance(found, dict):
        raise ConfigurationError(f'settings.py needs {NAME} = {{"{_GATEWAYS}": "chat.realtime.GATEWAYS"}}, a dict')
    known = [_GATEWAYS, *known_variables()]
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(str(key).upper(), known, n=1, cutoff=0.5)
            raise ConfigurationError(
                f"{NAME} has the unknown key {key!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            )
    return found


def _text(name: str, value: object) -> str:
    """A value as the text of its variable. None: as if it were not there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) and "," not in item for item in value):
        return ",".join(value)
    raise ConfigurationError(
        f"{NAME}: {name} must be text, a number, True, False or a list of texts without commas, "
        f"not {type(value).__name__}"
    )
