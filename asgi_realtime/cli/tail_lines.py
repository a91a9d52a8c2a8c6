"""The lines of `tail`: one for each event, for people or as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from asgi_realtime.broker.position_order import number
from asgi_realtime.cli.output import BAD, visible
from asgi_realtime.cli.tail_receiver import Entry, Missed, Seen
from asgi_realtime.values.publications import Publication, Target, ToAll, ToRoom, ToRooms, ToUsers

PAYLOAD: Final = 1_000
"""Characters of a payload on a line that is not for a terminal. --json has all of it."""
COLUMN: Final = 24
"""Characters up to which event and target are aligned."""
FIRST_TIME: Final = 10**15
"""A number in history from which on it is a time (this one is in 2001). Without Redis, events are counted from 1."""


class TextLines:
    """Lines for people: time, event, target, payload. `gateways`: whether the lines name the gateway."""

    def __init__(self, *, gateways: bool) -> None:
        self._console = Console()
        self._gateways = gateways
        self._widths = [0, 0]

    def of(self, entries: Iterable[Entry]) -> str:
        """The lines of some entries. On a terminal they are cut at its width."""
        texts = [self._text(entry) for entry in entries]
        if not self._console.is_terminal:
            return "".join(f"{text.plain}\n" for text in texts)
        with self._console.capture() as captured:
            for text in texts:
                self._console.print(text, no_wrap=True, overflow="ellipsis", highlight=False)
        return captured.get()

    def _text(self, entry: Entry) -> Text:
        clock = f"{_moment(entry):%H:%M:%S.%f}"[:-3]
        if isinstance(entry, Missed):
            return Text.assemble((clock, "dim"), "  ", (f"missed: {visible(_missed(entry))}", BAD))
        publication = entry.publication
        event = self._padded(0, visible(publication.event))
        target = self._padded(1, visible(self._target(publication)))
        line = Text.assemble((clock, "dim"), "  ", (event, "bold"), "  ", target, "  ", _payload(publication))
        line.rstrip()
        return line

    def _target(self, publication: Publication) -> str:
        name = target_name(publication.target)
        return f"{name} of {publication.gateway}" if self._gateways else name

    def _padded(self, column: int, text: str) -> str:
        width = self._widths[column] = max(self._widths[column], min(len(text), COLUMN))
        return text.ljust(width)


def json_lines(entries: Iterable[Entry]) -> str:
    """The lines of some entries: one JSON object each."""
    return "".join(msgspec.json.encode(_json(entry)).decode() + "\n" for entry in entries)


def _json(entry: Entry) -> dict[str, Any]:
    moment = f"{_moment(entry):%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(entry, Missed):
        targets = None if entry.targets is None else list(map(_json_target, entry.targets))
        return {
            "time": moment,
            "missed": entry.why,
            "gateway": entry.gateway,
            "to": targets,
            "skipped": entry.skipped or None,
        }
    publication = entry.publication
    found: dict[str, Any] = {
        "time": moment,
        "gateway": publication.gateway,
        "event": publication.event,
        "to": _json_target(publication.target),
    }
    if publication.payload:
        found["data"] = msgspec.Raw(publication.payload)
    if publication.attachments:
        found["attachments"] = list(map(len, publication.attachments))
    if publication.except_:
        found["except"] = publication.except_
    return {**found, "position": publication.position}


def _moment(entry: Entry) -> datetime.datetime:
    """When it was published, by the clock of Redis. Without Redis, or without a position: when it came."""
    seconds = entry.received
    if isinstance(entry, Seen) and entry.publication.position is not None:
        microseconds = number(entry.publication.position)
        seconds = seconds if microseconds < FIRST_TIME else microseconds / 1_000_000
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _payload(publication: Publication) -> str:
    text = publication.payload[: 4 * PAYLOAD + 4].decode("utf-8", "replace")
    shown = visible(text[:PAYLOAD]) + ("…" if len(text) > PAYLOAD else "")
    if publication.attachments:
        shown += f" + {sum(map(len, publication.attachments))} bytes in attachments"
    return shown


def _missed(entry: Missed) -> str:
    if entry.skipped:
        return f"{entry.skipped} event{'' if entry.skipped == 1 else 's'}, because {entry.why}"
    where = "" if entry.gateway is None else f" of {entry.gateway}"
    names = "" if entry.targets is None else " to " + ", ".join(map(target_name, entry.targets))
    return f"perhaps events{names}{where}, because {entry.why}"


def target_name(target: Target) -> str:
    """A target in words."""
    match target:
        case ToRoom(room):
            return f"room {room}"
        case ToRooms(rooms):
            return f"rooms {_some(rooms)}"
        case ToUsers(user_ids):
            return f"user {user_ids[0]}" if len(user_ids) == 1 else f"users {_some(user_ids)}"
        case ToAll():
            return "all"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _json_target(target: Target) -> dict[str, Any]:
    match target:
        case ToRoom(room):
            return {"rooms": [room]}
        case ToRooms(rooms):
            return {"rooms": rooms}
        case ToUsers(user_ids):
            return {"users": user_ids}
        case ToAll():
            return {"all": True}
