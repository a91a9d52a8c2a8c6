"""The fields of log records: what they contain, in the form in which a formatter of the host gets them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    Publication,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    on,
)
from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.log_fields import MOST_CHARACTERS, log_fields
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.values.identity import Identity as SomeIdentity

logger = logging.getLogger("asgi_realtime")
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


class JSONFormatter(logging.Formatter):
    """Writes the message and everything that `extra=` has added."""

    def format(self, record: logging.LogRecord) -> str:
        added = {name: value for name, value in vars(record).items() if name not in STANDARD}
        return json.dumps({"message": record.getMessage()} | added)


class Lines:
    """What the package has logged, each line decoded again."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def about(self, text: str) -> dict[str, Any]:
        """The fields of the only line that contains a text."""
        [line] = [line for line in self.read() if text in line["message"]]
        del line["message"]
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield Lines(stream)
    logger.removeHandler(handler)
    logger.setLevel(level)


class SomeConnection:
    """A connection of a user."""

    def __init__(self, user_id: str) -> None:
        self.id = "c1"
        self.gateway = "/chat"
        self.identity = SomeIdentity(user_id=user_id)


def test_only_what_is_known_is_there() -> None:
    assert log_fields() == {}
    assert log_fields("/") == {"realtime_gateway": "/"}
    assert log_fields("/", event="say") == {"realtime_gateway": "/", "realtime_event": "say"}
    assert log_fields("/other", connection=SomeConnection("ann")) == {
        "realtime_gateway": "/chat",
        "realtime_connection_id": "c1",
        "realtime_user_id": "ann",
    }


def test_values_are_short_and_on_one_line() -> None:
    user_id = log_fields(connection=SomeConnection("x" * 1000))["realtime_user_id"]
    assert user_id == "x" * (MOST_CHARACTERS - 1) + "…"
    assert log_fields(connection=SomeConnection("a\nb\x1b[2J"))["realtime_user_id"] == r"a\nb\x1b[2J"
    assert log_fields(connection=SomeConnection("Zoë 🙂"))["realtime_user_id"] == "Zoë 🙂"


def test_no_field_is_an_attribute_of_a_record_or_of_a_host_that_sets_its_own(lines: Lines) -> None:
    """`logging` raises KeyError for `extra=` that names an attribute which a record factory has set."""
    fields = log_fields("/", connection=SomeConnection("ann"), event="say")
    assert len(fields) == 4
    assert not STANDARD & fields.keys()
    factory = logging.getLogRecordFactory()

    def with_context(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        for name in ("event", "user_id", "gateway", "connection_id"):
            setattr(record, name, "of the host")
        return record

    logging.setLogRecordFactory(with_context)
    try:
        logger.info("a line", extra=fields)
    finally:
        logging.setLogRecordFactory(factory)
    assert fields.items() <= lines.about("a line").items()


def test_logs_of_failures_and_refusals_have_fields(lines: Lines) -> None:
    FailureLog().failed("/chat", "saying failed", LookupError(1), connection=SomeConnection("ann"), event="say")
    RefusalLog().refused("Socket.IO", "no CONNECT in time")
    assert lines.about("saying failed") == {
        "realtime_gateway": "/chat",
        "realtime_connection_id": "c1",
        "realtime_user_id": "ann",
        "realtime_event": "say",
    }
    assert lines.about("no CONNECT in time") == {"realtime_gateway": "Socket.IO"}


class Faulty(SocketIOGateway):
    """Its code fails everywhere."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        raise LookupError("in on_disconnect")

    def recipient_filter(self, publication: Publication) -> Any:
        def takes(connection: Connection) -> bool:
            raise LookupError("in recipient_filter")

        return takes

    @on("say")
    async def say(self, text: str, connection: Connection) -> None:
        raise LookupError("in a handler")


def by_name(handshake: Handshake) -> Identity:
    return Identity(user_id=handshake.auth["name"])


async def no_host(scope: Any, receive: Any, send: Any) -> None:
    """The app behind the gateway. It gets no request here."""


async def test_failures_of_the_host_name_the_connection_and_the_event(lines: Lines) -> None:
    app = RealtimeMiddleware(
        no_host,
        gateways=[Faulty("/faulty", authenticator=by_name)],
        settings=Settings(jwt_secret="a secret for tests that is long enough"),
    )
    async with RealtimeTestClient(app) as client:
        async with client.connect("/faulty", auth={"name": "ann"}) as ann:
            await ann.call("say", "hello")
            await app.broadcaster.broadcast_to_room("lobby", "said", "hello")
        with pytest.raises(ConnectionRefused):
            await client.connect("/faulty", auth={}).__aenter__()
    said = lines.about("say failed")
    connection = {name: said[name] for name in ("realtime_gateway", "realtime_connection_id", "realtime_user_id")}
    assert said == connection | {"realtime_event": "say"}
    assert (said["realtime_gateway"], said["realtime_user_id"]) == ("/faulty", "ann")
    assert lines.about("recipient_filter failed") == connection
    assert lines.about("on_disconnect failed") == connection
    assert lines.about("connecting failed") == {"realtime_gateway": "/faulty"}
