"""For Django: `get_asgi_application` for `asgi.py`, users by session, and the broadcaster for views, signals and tasks.

Add `asgi_realtime.django` to `INSTALLED_APPS`, and name the gateways in the setting `ASGI_REALTIME`.
"""

from __future__ import annotations

from asgi_realtime.django.application import get_asgi_application
from asgi_realtime.django.broadcasters import aget_broadcaster, get_broadcaster
from asgi_realtime.django.configuration import get_settings
from asgi_realtime.django.sessions import SessionAuthenticator

__all__ = [
    "get_asgi_application",
    "get_broadcaster",
    "aget_broadcaster",
    "SessionAuthenticator",
    "get_settings",
]
