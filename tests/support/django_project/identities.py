"""Programs that authenticate by sessions of different kinds. They print what they find as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.sessions.models import Session
from django.db.models.signals import post_init
from django.http import HttpRequest
from django.utils import timezone

from asgi_realtime import Handshake, Identity, Unauthorized
from asgi_realtime.django import SessionAuthenticator


def _logged_in() -> Any:
    """A session of a user."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    login(request, get_user_model().objects.get(username="ann"))
    request.session.save()
    return request.session


async def _identity(session: Any, **headers: str) -> Identity:
    """The identity for a handshake with this session."""
    handshake = Handshake(headers={"host": "localhost"} | headers, cookies={"sessionid": session.session_key})
    return await SessionAuthenticator()(handshake)


def _remaining(session: Any) -> float:
    """The seconds until the identity expires."""
    identity = asyncio.run(_identity(session))
    assert identity.expires_at is not None
    return identity.expires_at - time.time()


def print_expiries(*engines: str) -> None:
    """For each engine: when `SESSION_COOKIE_AGE` is 1000 but the row has 60 seconds left, and with a date in 30."""
    found = {}
    settings.SESSION_COOKIE_AGE = 1000
    for engine in engines:
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
        session = _logged_in()
        rows = Session.objects.filter(pk=session.session_key)
        rows.update(expire_date=timezone.now() + timedelta(seconds=60))
        stored = _remaining(session)
        session.set_expiry(timedelta(seconds=30))
        session.save()
        found[engine] = stored, _remaining(session)
    print(json.dumps(found))


def print_whether_issued_before_the_user_is_read() -> None:
    session, read_at = _logged_in(), []
    post_init.connect(lambda **_: read_at.append(time.time()), sender=get_user_model(), weak=False)
    identity = asyncio.run(_identity(session))
    print(json.dumps(identity.claims["iat"] < read_at[0]))


def print_refusal_of_a_forwarded_host(name: str) -> None:
    """Prints why a handshake is refused whose host is allowed only according to this header."""
    settings.USE_X_FORWARDED_HOST = True
    try:
        asyncio.run(_identity(_logged_in(), **{"host": "rebound.example", name: "localhost"}))
    except Unauthorized as error:
        print(json.dumps(error.log_reason))
    else:
        print(json.dumps(None))
