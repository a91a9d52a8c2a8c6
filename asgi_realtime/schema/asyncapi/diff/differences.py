"""The differences between two AsyncAPI documents, and which of them break a client that was written to the old one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from asgi_realtime.schema.asyncapi.diff.alternatives import UnreadableDocument
from asgi_realtime.schema.asyncapi.diff.changes import change_of
from asgi_realtime.schema.asyncapi.diff.fields import field_paths, outermost
from asgi_realtime.schema.asyncapi.diff.operations import Action, Channel, Event, Operation, channels_of
from asgi_realtime.schema.asyncapi.diff.schemas import SchemaPair


class Difference(msgspec.Struct, frozen=True):
    """One difference. `place` names the channel, the event and the field."""

    place: str
    change: str
    breaking: bool


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return the differences between two documents, those that break clients first.

    Hosts, titles, descriptions, defaults and examples are not compared.

    Raises:
        UnreadableDocument: if one is no AsyncAPI 3 document, or a part of it is missing or has the wrong type.
    """
    try:
        found = set(_Comparison(old, new).differences())
    except RecursionError:
        raise UnreadableDocument("a schema is nested too deeply") from None
    except (AttributeError, KeyError, TypeError, ValueError, re.error) as error:
        raise UnreadableDocument(f"a part of a document is missing or has the wrong type: {error}") from None
    return sorted(found, key=lambda difference: (not difference.breaking, difference.place, difference.change))


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old_document, self._new_document = old, new
        self._old, self._new = channels_of(old), channels_of(new)
        self._forward, self._backward = SchemaPair(old, new), SchemaPair(new, old)

    def differences(self) -> Iterator[Difference]:
        for name, channel in self._old.items():
            if name not in self._new:
                yield Difference(name, "the channel is gone", True)
            else:
                yield from self._channel(name, channel, self._new[name])
        for name in self._new.keys() - self._old.keys():
            yield Difference(name, "the channel is new", False)

    def _channel(self, name: str, old: Channel, new: Channel) -> Iterator[Difference]:
        if old.paths != new.paths:
            missing = sorted(old.paths - new.paths)
            change = f"the server's path is {_listed(new.paths)}, and was {_listed(old.paths)}"
            yield Difference(name, change, bool(missing))
        for event, operation in old.operations.items():
            place = f"{name} {_shown(event)}"
            if event not in new.operations:
                yield Difference(place, "the event is gone", True)
                continue
            other = new.operations[event]
            yield from self._arguments(place, event.action, operation.arguments, other.arguments)
            yield from self._replies(place, operation, other)
        for event in new.operations:
            if event not in old.operations:
                yield Difference(f"{name} {_shown(event)}", "the event is new", False)
        yield from _security(name, old, new)

    def _arguments(self, place: str, action: Action, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
        """Compare what is sent. The receiver ignores more arguments than it knows, and needs the others."""
        if len(old) != len(new):
            fewer = len(new) < len(old)
            yield Difference(place, f"it has {len(new)} arguments, and had {len(old)}", fewer == (action == "send"))
        for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
            where = f"{place}, argument {number}" if len(old) > 1 else place
            yield from self._payload(where, action, before, after)

    def _payload(self, place: str, action: Action, old: Any, new: Any) -> Iterator[Difference]:
        reported = set()
        for misfits, is_past in ((self._forward.misfits(old, new), True), (self._backward.misfits(new, old), False)):
            for misfit in misfits:
                reported.add(misfit.path)
                # A receiver must take all that was sent before; a client, all that is sent from now on.
                breaking = is_past == (action == "receive")
                yield Difference(_at(place, misfit.path), change_of(misfit, action, is_past=is_past), breaking)
        before, after = field_paths(self._old_document, old), field_paths(self._new_document, new)
        for these, others, change in ((after, before, "the field is new"), (before, after, "the field is gone")):
            for path in outermost(these - others) - reported:
                yield Difference(_at(place, path), change, False)

    def _replies(self, place: str, old: Operation, new: Operation) -> Iterator[Difference]:
        if not old.replies:
            if new.replies:
                yield Difference(place, "it is acknowledged now", False)
            return
        if not new.replies:
            yield Difference(place, "it is no longer acknowledged", True)
            return
        for name, arguments in new.replies.items():
            if name in old.replies:
                yield from self._arguments(f"{place}, {name}", "send", old.replies[name], arguments)
            else:
                yield Difference(f"{place}, {name}", "the acknowledgement is new", True)
        for name in old.replies.keys() - new.replies.keys():
            yield Difference(f"{place}, {name}", "the acknowledgement is gone", False)


def _security(name: str, old: Channel, new: Channel) -> Iterator[Difference]:
    """Compare the schemes of the events that both have. What applies to all of them is said of the channel."""
    places: dict[tuple[str, bool], list[str]] = {}
    both = old.operations.keys() & new.operations.keys()
    for event in both:
        for found in _security_changes(old.operations[event].security, new.operations[event].security):
            places.setdefault(found, []).append(f"{name} {_shown(event)}")
    for (change, breaking), where in places.items():
        for place in [name] if len(where) > 1 else where:
            yield Difference(place, change, breaking)


def _security_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    if old and not new:
        yield "clients need no token now", False
    elif new and not old:
        yield "clients need a token now", True
    else:
        yield from ((f"the security scheme is gone: {old[key]}", True) for key in old.keys() - new.keys())
        yield from ((f"the security scheme is new: {new[key]}", False) for key in new.keys() - old.keys())


def _shown(event: Event) -> str:
    return f"{'clients send' if event.action == 'receive' else 'the server sends'} {event.name}"


def _at(place: str, path: str) -> str:
    return f"{place}: {path}" if path else place


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(path or "/" for path in sorted(paths)) or "unknown"
