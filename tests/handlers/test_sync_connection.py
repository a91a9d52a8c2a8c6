"""`SyncConnection`, which handlers in threads get instead of a connection."""

from __future__ import annotations

import inspect

from asgi_realtime import Connection, SyncConnection


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if name[0] != "_"}


def test_both_classes_have_the_same_members_and_signatures() -> None:
    assert public(SyncConnection) == public(Connection)
    methods = [name for name in public(Connection) if inspect.iscoroutinefunction(getattr(Connection, name))]
    assert sorted(methods) == ["call", "close", "join", "leave", "send"]
    for name in methods:
        method = getattr(SyncConnection, name)
        assert inspect.signature(method) == inspect.signature(getattr(Connection, name)), name
        assert not inspect.iscoroutinefunction(method) and method.__doc__
