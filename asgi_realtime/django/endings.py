"""Ends connections when their user logs out, gets another password, is deactivated or is deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import class_prepared, post_delete, post_init, post_save
from django.db.transaction import get_connection, on_commit

from asgi_realtime.broadcasting.broadcaster import SyncBroadcaster
from asgi_realtime.django.broadcasters import get_broadcaster
from asgi_realtime.django.process_broadcaster import process_broadcaster
from asgi_realtime.django.sessions import session_id
from asgi_realtime.errors import BrokerUnavailable

_STAY_OPEN = "connections of a user who logged out, or whose account was changed, stay open"
_HAD_PASSWORD = "_asgi_realtime_had_password"
"""An attribute of users: whether they had a usable password when they were loaded, or saved last."""
_SIGNED_COOKIES = "django.contrib.sessions.backends.signed_cookies"


def connect_receivers() -> None:
    """Listen to the signals, once for each process. All models must be loaded."""
    user_logged_out.connect(_logged_out, dispatch_uid=_logged_out.__qualname__)
    for model in apps.get_models():
        _listen(model)
    class_prepared.connect(_listen, dispatch_uid=_listen.__qualname__)


def _listen(sender: Any, **_: Any) -> None:
    """Listen to a model if it has users: that of the project, its proxies, and models above and below it.

    Receivers are not connected for all models: with one for `post_delete`, Django loads all rows that a query deletes.
    """
    users = get_user_model()._meta.concrete_model
    if issubclass(sender, users) or issubclass(users, sender):
        post_init.connect(_loaded, sender=sender, dispatch_uid=_loaded.__qualname__)
        post_save.connect(_saved, sender=sender, dispatch_uid=_saved.__qualname__)
    # An object of a model below is deleted as one of `users` too, unless `keep_parents` leaves the user.
    if sender._meta.concrete_model is users:
        post_delete.connect(_deleted, sender=sender, dispatch_uid=_deleted.__qualname__)


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


def _loaded(instance: Any, **_: Any) -> None:
    setattr(instance, _HAD_PASSWORD, _has_password(instance))


def _has_password(user: Any) -> bool:
    # `user.password` would read a field from the database that the query has left out. Then the answer is True.
    return bool(is_password_usable(user.__dict__.get("password")))


def _saved(instance: Any, using: str, created: bool, raw: bool, **_: Any) -> None:
    # `set_password` leaves the new password here until the user is saved. Django itself looks at it there.
    password_changed = getattr(instance, "_password", None) is not None
    # `set_unusable_password` leaves nothing.
    password_removed = getattr(instance, _HAD_PASSWORD, False) and not _has_password(instance)
    _loaded(instance)
    if not raw and not created and (password_changed or password_removed or not getattr(instance, "is_active", True)):
        _end_of(instance, using)


def _deleted(instance: Any, using: str, **_: Any) -> None:
    _end_of(instance, using)


def _end_of(user: Any, using: str | None) -> None:
    """Refuse what the user has authenticated with until now, and close the user's connections on all processes."""
    # An object of a model below may have another primary key.
    user_id = str(getattr(user, get_user_model()._meta.pk.attname, user.pk))
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
