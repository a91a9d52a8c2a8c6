"""The system check of the setting: `manage.py check`."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from asgi_realtime.django.configuration import get_settings, read_gateways
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.realtime import Realtime


def check_setting(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report a wrong setting, and gateways that cannot be mounted."""
    try:
        settings = get_settings()
    except ConfigurationError as error:
        return [Error(str(error), id="asgi_realtime.E001")]
    try:
        gateways = read_gateways()
    except ConfigurationError as error:
        return [Error(str(error), id="asgi_realtime.E002")]
    try:
        Realtime(gateways=gateways, settings=settings)
    except ConfigurationError as error:
        return [Error(str(error), id="asgi_realtime.E003")]
    return []
