"""The events of the clients and the server of Polls, with the types of their payloads."""

from __future__ import annotations

import msgspec

from asgi_realtime import down


class PollReference(msgspec.Struct, frozen=True, rename="camel"):
    """A poll."""

    poll_id: str


class Vote(msgspec.Struct, frozen=True, rename="camel"):
    """A user's choice in a poll."""

    poll_id: str
    choice: str


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """The number of votes for each choice of a poll."""

    poll_id: str
    votes: dict[str, int]


POLLS_EVENTS = (
    down("poll:result", Result, to="the clients that follow the poll"),
    down("poll:closed", PollReference, to="the clients that follow the poll"),
)
