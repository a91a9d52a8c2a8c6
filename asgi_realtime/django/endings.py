"""Ends connections when their user logs out, gets another password, is deactivated or is deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_save
from django.db.transaction import get_connection, on_commit

from asgi_realtime.broadcasting.broadcaster import SyncBroadcaster
from asgi_realtime.django.broadcasters import get_broadcaster
from asgi_realtime.django.process_broadcaster import process_broadcaster
from asgi_realtime.django.sessions import session_id
from asgi_realtime.errors import BrokerUnavailable

_STAY_OPEN = "connections of a user who logged out, or whose account was changed, stay open"
_SIGNED_COOKIES = "django.contrib.sessions.backends.signed_cookies"


def connect_receivers() -> None:
    """Listen to the signals, once for each process."""
    user_logged_out.connect(_logged_out, dispatch_uid=_logged_out.__qualname__)
    users = get_user_model()
    post_save.connect(_saved, sender=users, dispatch_uid=_saved.__qualname__)
    post_delete.connect(_deleted, sender=users, dispatch_uid=_deleted.__qualname__)


def _logged_out(request: Any, user: Any, **_: Any) -> None:
    """Refuse the session, and close its connections on all processes."""
    session = getattr(request, "session", None)
    if user is None or session is None:
        return
    if settings.SESSION_ENGINE == _SIGNED_COOKIES:
        # The key is the cookie, which is another one after each change of the session.
        _end_of(user, None)
    elif session.session_key:
        jti = session_id(session.session_key)
        _tell(lambda broadcaster: broadcaster.revoke_token(jti), None)


def _saved(instance: Any, using: str, created: bool, raw: bool, **_: Any) -> None:
    # `set_password` leaves the new password here until the user is saved. Django itself looks at it there.
    password_changed = getattr(instance, "_password", None) is not None
    if not raw and not created and (password_changed or not instance.is_active):
        _end_of(instance, using)


def _deleted(instance: Any, using: str, **_: Any) -> None:
    _end_of(instance, using)


def _end_of(user: Any, using: str | None) -> None:
    """Refuse what the user has authenticated with until now, and close the user's connections on all processes."""
    user_id = str(user.pk)
    _tell(lambda broadcaster: broadcaster.revoke_user(user_id), using)


def _tell(call: Callable[[SyncBroadcaster], None], using: str | None) -> None:
    """Make a call when the transaction is committed, or now. A failure is logged: the change itself has been made."""

    def tell() -> None:
        try:
            call(get_broadcaster())
        except (BrokerUnavailable, RuntimeError) as error:
            process_broadcaster().failures.failed(None, _STAY_OPEN, error, traceback=False)

    if get_connection(using).in_atomic_block:
        on_commit(tell, using=using)
    else:
        tell()
