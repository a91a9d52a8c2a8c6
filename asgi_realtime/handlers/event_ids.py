"""Finds the id that a client has given to an event: for handlers that are declared with `once`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.payloads.object_fields import PayloadSchema
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import is_longer

# U+FFFD stands for half a surrogate pair in what clients send: two ids that differ in it must not become one.
_NOT_IN_IDS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_MOST_BITS: Final = 64
"""Of an id that is a whole number."""


class EventIdReader(NamedTuple):
    """Reads the id of each event."""

    name: str
    """What `once` names."""
    number: int
    """Which argument of the event has it."""
    is_field: bool
    """Whether it is a field of that argument. If not, it is the argument itself."""
    may_be_missing: bool
    """Whether the handler's annotations decide if an event without an id is valid."""
    limit: int
    """Most bytes."""

    def read(self, sent: Sequence[Json]) -> str | None:
        """The id of an event with these arguments. None: it has none.

        Raises:
            InvalidMessage: it cannot be an id, or is missing where no annotation says that it may be.
        """
        value: Json = sent[self.number] if self.number < len(sent) else None
        if self.is_field:
            value = value.get(self.name) if isinstance(value, dict) else None
        if value is None and self.may_be_missing:
            return None
        if type(value) is int and value.bit_length() <= _MOST_BITS:
            return str(value)
        if type(value) is not str or not value or is_longer(value, self.limit) or _NOT_IN_IDS.search(value):
            raise InvalidMessage(f"{self.name} must be the event's id: a text of 1 to {self.limit} bytes")
        return value


def event_id_reader(once: object, payloads: Mapping[str, Any], where: str, *, limit: int) -> EventIdReader:
    """Find out, once at start-up, where `once` says that the id is.

    Args:
        once: a parameter that the client fills, or a field of the first such parameter.
        payloads: the parameters that the client fills, in order, with their annotations.
        where: the handler, in messages.
        limit: most bytes of an id.

    Raises:
        ConfigurationError: it names nothing, or what cannot be an id.
    """
    if not isinstance(once, str) or not once:
        raise ConfigurationError(f'{where}: once= takes the name of the field with the event\'s id, as in once="id"')
    names = list(payloads)
    if once in payloads:
        if not PayloadSchema(payloads[once]).is_text:
            raise ConfigurationError(f"{where}: once={once!r}: that parameter is no text, so it cannot be an id")
        return EventIdReader(once, names.index(once), False, payloads[once] is not Any, limit)
    if not names:
        raise ConfigurationError(f"{where}: once={once!r}: the handler has no parameter that a client fills")
    schema = PayloadSchema(payloads[names[0]])
    fields = schema.fields
    if fields is None:
        return EventIdReader(once, 0, True, False, limit)
    if once not in fields:
        known = ", ".join([*names, *fields])
        raise ConfigurationError(
            f"{where}: once={once!r} is neither a parameter that a client fills nor a field of the first one; "
            f"there are {known}"
        )
    if not schema.may_be_text(fields[once]):
        raise ConfigurationError(f"{where}: once={once!r}: that field is no text, so it cannot be an id")
    return EventIdReader(once, 0, True, True, limit)
