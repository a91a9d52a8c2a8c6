"""The log of refusals: one line for each cause and minute, bounded under attack, without text from clients."""

from __future__ import annotations

import logging
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.auth.refusal_log import INTERVAL, MOST_CAUSES, MOST_DETAILS, RefusalLog, shown_origin
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> RefusalLog:
    caplog.set_level(logging.INFO, "asgi_realtime")
    return RefusalLog(clock=clock)


def test_each_cause_is_logged_once_a_minute_with_the_number_of_repeats(
    log: RefusalLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        log.refused("/", "no token")
    assert caplog.messages == ["/ refused a client: no token"]
    clock.now += INTERVAL
    log.refused("/", "no token")
    assert caplog.messages[1:] == ["/ refused a client: no token; 99 more since the last line"]
    clock.now += INTERVAL
    log.refused("/", "no token")
    assert caplog.messages[2:] == ["/ refused a client: no token"]


def test_each_entry_point_and_each_reason_is_a_cause(log: RefusalLog, caplog: pytest.LogCaptureFixture) -> None:
    for entry_point in ("/", "/chat"):
        for reason in ("no token", "the token has expired"):
            for _ in range(3):
                log.refused(entry_point, reason)
    assert len(caplog.messages) == 4
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels["/ refused a client: no token"] == logging.WARNING
    assert levels["/ refused a client: the token has expired"] == logging.INFO, "expired tokens are usual"


def test_a_flood_of_different_details_is_bounded(
    log: RefusalLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        log.origin("/", f"https://host-{number}.example", "api.example")
        log.refused("/", "a namespace that is not mounted", f"/n{number}")
    assert len(caplog.messages) == 2 * MOST_DETAILS
    clock.now += INTERVAL
    log.origin("/", "https://host-1.example", "api.example")
    assert caplog.messages[-1].endswith(f"{10_000 - MOST_DETAILS} more since the last line")


def test_a_flood_of_causes_is_bounded(log: RefusalLog, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    tracemalloc.start()
    try:
        for number in range(50_000):
            log.refused(f"/{number}", "no token")
            clock.now += 0.0001
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(caplog.messages) <= MOST_CAUSES + MOST_DETAILS
    assert held < 5_000_000  # mostly the lines that pytest keeps
    clock.now += 2 * INTERVAL
    log.refused("/other", "no token")
    assert caplog.messages[-1].startswith("/other refused"), "old causes are dropped"


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("https://evil.example", "https://evil.example"),
        ("HTTPS://Evil.example:443", "https://evil.example"),
        ("null", "null"),
        ("file://", "file://"),
        ("https://user:password@evil.example", "that is none"),
        ("https://evil.example/?token=secret", "that is none"),
        ("https://evil.example\nERROR forged", "that is none"),
        ("\x1b[31mred", "that is none"),
        ("secret", "that is none"),
        ("", "that is none"),
        ("https://" + "x" * 5000, "that is none"),
        (None, "that is none"),
    ],
)
def test_an_origin_is_shown_only_if_it_is_one(
    origin: str | None, shown: str, log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    assert shown_origin(origin) == shown
    log.origin("/", origin, "user:secret@api.example\r\nforged")
    (line,) = caplog.messages
    assert f"the origin {shown} is neither" in line
    assert "secret" not in line and "forged" not in line
    assert "MEW_CORS_ORIGINS" in line


def test_a_refused_origin_is_logged_with_the_host_of_the_server(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.origin("/socket.io", "http://localhost:8080", "localhost")
    assert caplog.messages == [
        "/socket.io refused a client: the origin http://localhost:8080 is neither in MEW_CORS_ORIGINS "
        "nor the same origin (Host: localhost)"
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/admin", "/admin"),
        ("/admin?token=secret", "/admin"),
        ("/" + "x" * 31, "an unreadable name"),
        ("/3f1c9ab24e", "an unreadable name"),
        ("/eyJhbGciOi", "an unreadable name"),
        ("/a b", "an unreadable name"),
        ("/\u202egnp", "an unreadable name"),
    ],
)
def test_a_name_is_shown_only_if_it_looks_like_one(
    name: str, shown: str, log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.refused("Socket.IO", "a namespace that is not mounted", name)
    assert caplog.messages == [f"Socket.IO refused a client: a namespace that is not mounted ({shown})"]


@given(st.text(), st.text(), st.text())
def test_no_line_has_control_characters(origin: str, host: str, name: str) -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("asgi_realtime")
    logger.addHandler(handler)
    try:
        log = RefusalLog()
        log.origin("/", origin, host)
        log.refused("/", "a namespace that is not mounted", name)
    finally:
        logger.removeHandler(handler)
    assert len(records) == 2
    assert all(line.isprintable() and line.isascii() and len(line) < 1000 for line in records)
