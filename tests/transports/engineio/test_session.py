from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.settings import Settings
from asgi_realtime.transports.engineio import Session, State
from asgi_realtime.values.handshake import Handshake

SETTINGS = Settings(ping_interval=25, ping_timeout=20, limits=Limits(outbox_bytes=1000))


class Recorder:
    authenticated = True

    def __init__(self) -> None:
        self.received: list[str | bytes] = []
        self.reasons: list[str] = []

    def receive_texts(self, turn: TextTurn) -> None:
        """Leave every text to `receive`."""

    def receive(self, message: str | bytes, now: float) -> bool:
        self.received.append(message)
        return False

    async def ready(self) -> None:
        return

    def session_ended(self, reason: str) -> None:
        self.reasons.append(reason)


class Ends:
    """Records the notifications of the server: the number of closing sessions, and the reasons of closed ones."""

    def __init__(self) -> None:
        self.begun = 0
        self.reasons: list[str] = []
        self.failures: list[tuple[str, Exception]] = []

    def session_ending(self, session: Session) -> None:
        self.begun += 1

    def session_ended(self, session: Session, reason: str) -> None:
        self.reasons.append(reason)

    def session_failed(self, what: str, error: Exception) -> None:
        self.failures.append((what, error))


def opened(*, websocket: bool = False, settings: Settings = SETTINGS) -> tuple[Session, Recorder, Ends]:
    ends = Ends()
    session = Session(
        "id",
        Handshake(),
        websocket=websocket,
        settings=settings,
        budgets=Budgets(settings.limits, Meter()),
        now=0.0,
        owner=ends,
    )
    recorder = Recorder()
    session.start(recorder)
    return session, recorder, ends


def waiting(session: Session) -> list[str | bytes]:
    return [message for frame in session.outbox.take() for message in frame.messages]


class Wakes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


class Carrier:
    def __init__(self) -> None:
        self.ends = 0

    def end(self) -> None:
        self.ends += 1


# Opening and messages


def test_the_open_packet_holds_the_session_settings() -> None:
    session, _, _ = opened()
    assert session.open_packet[0] == "0"
    assert json.loads(session.open_packet[1:]) == {
        "sid": "id",
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1_000_000,
    }


@pytest.mark.parametrize("settings", [SETTINGS, Settings(transports=("polling",))])
def test_no_upgrade_is_offered_without_websockets(settings: Settings) -> None:
    session, _, _ = opened(websocket=settings is SETTINGS, settings=settings)
    assert json.loads(session.open_packet[1:])["upgrades"] == []


def test_messages_reach_the_application_in_order() -> None:
    session, recorder, _ = opened()
    for packet in ("4a", b"\x00", "4", "6", "4b"):
        session.receive(packet, 1.0)
    assert recorder.received == ["a", b"\x00", "", "b"]


@pytest.mark.parametrize("packet", ["", "0", "0{}", "2", "2probe", "5", "7", "abc", "bAQ=="])
def test_packets_a_client_may_not_send_are_protocol_errors(packet: str) -> None:
    session, recorder, _ = opened()
    with pytest.raises(ProtocolError):
        session.receive(packet, 1.0)
    assert recorder.received == []


@given(st.text() | st.binary())
def test_any_packet_is_accepted_or_raises_a_protocol_error(packet: str | bytes) -> None:
    session, _, _ = opened()
    try:
        session.receive(packet, 1.0)
    except ProtocolError:
        pass


# Heartbeat


def test_pings_follow_pongs_by_the_interval() -> None:
    session, recorder, _ = opened()
    assert session.on_deadline(24.9) == 25.0
    assert waiting(session) == []
    session.on_deadline(25.0)
    assert waiting(session) == ["2"]
    session.receive("3", 30.0)
    assert session.on_deadline(45.0) == 55.0
    session.on_deadline(55.0)
    assert waiting(session) == ["2"]
    assert recorder.reasons == []


def test_a_missing_pong_ends_the_session_at_the_second_check() -> None:
    session, recorder, ends = opened()
    assert session.on_deadline(25.0) == 45.0
    assert (
        session.on_deadline(45.0) == 45.0
    )  # after a stall of the loop the pong may still be in the buffer of the socket
    assert recorder.reasons == []
    assert session.on_deadline(45.1) is None
    assert recorder.reasons == ends.reasons == ["ping timeout"]
    assert session.on_deadline(46.0) is None
    assert ends.reasons == ["ping timeout"]


def test_a_pong_that_was_read_after_a_stall_saves_the_session() -> None:
    session, recorder, _ = opened()
    session.on_deadline(25.0)
    session.on_deadline(99.0)
    session.receive("3", 99.0)
    assert session.on_deadline(99.1) == 124.0
    assert recorder.reasons == []


def test_the_next_ping_is_not_late_where_the_interval_is_shorter_than_the_timeout() -> None:
    session, _, _ = opened(settings=Settings(ping_interval=5, ping_timeout=20))
    assert session.on_deadline(5.0) == 10.0
    session.receive("3", 5.1)
    assert session.on_deadline(10.0) == 10.1


def test_a_late_timer_does_not_shorten_the_clients_time() -> None:
    session, _, _ = opened()
    assert session.on_deadline(26.0) == 45.0  # slightly late: counted from the time at which the ping was due
    session, recorder, _ = opened()
    session.on_deadline(100.0)
    session.expire(114.9)
    assert recorder.reasons == []
    session.expire(115.0)
    assert recorder.reasons == ["ping timeout"]


def test_a_poll_finds_the_session_expired_without_waiting_for_the_timer() -> None:
    session, recorder, _ = opened()
    session.expire(25.0)
    session.on_deadline(25.0)
    session.expire(44.9)
    assert recorder.reasons == []
    session.expire(45.0)
    assert recorder.reasons == ["ping timeout"]


def test_the_timeout_does_not_run_while_nothing_is_read() -> None:
    session, recorder, _ = opened()
    session.on_deadline(25.0)
    session.reading = False
    session.expire(50.0)
    session.on_deadline(50.0)
    session.on_deadline(60.0)
    session.reading = True
    session.expire(79.0)
    assert session.on_deadline(79.0) == 80.0
    assert recorder.reasons == []
    session.on_deadline(80.0)
    session.on_deadline(80.1)
    assert recorder.reasons == ["ping timeout"]


def test_an_unsolicited_pong_changes_nothing() -> None:
    session, _, _ = opened()
    session.receive("3", 24.0)
    assert session.on_deadline(24.0) == 25.0


# The end


@pytest.mark.parametrize("websocket", [False, True])
def test_a_close_of_the_client_ends_the_session(websocket: bool) -> None:
    session, recorder, ends = opened(websocket=websocket)
    session.receive("1", 1.0)
    assert session.state is State.CLOSED
    assert recorder.reasons == ends.reasons == ["client close"]
    session.receive("4late", 1.0)
    assert recorder.received == []


def test_close_notifies_the_application_at_once_and_the_client_after_queued_messages() -> None:
    session, recorder, ends = opened()
    session.push(Frame("4last"))
    session.close(4000, "bye")
    assert recorder.reasons == ["forced close"]
    assert session.state is State.CLOSING
    assert session.close_code == (4000, "bye")
    session.receive("4late", 1.0)
    session.close()
    assert recorder.received == []
    session.push(Frame("4too late"))
    session.begin_poll(Wakes())
    assert session.poll() == "4last"
    session.end_poll()
    assert session.state is State.CLOSING
    session.begin_poll(Wakes())
    assert session.poll() == "1"
    assert ends.reasons == recorder.reasons == ["forced close"]
    assert ends.begun == 1


def test_a_poll_that_waits_gets_the_close_packet_where_nothing_is_queued() -> None:
    session, _, ends = opened()
    wakes = Wakes()
    session.begin_poll(wakes)
    session.close()
    assert wakes.count == 1
    assert session.poll() == "1"
    assert ends.reasons == ["forced close"]


def test_a_client_that_closes_while_it_is_closed_is_waited_for_no_more() -> None:
    session, recorder, ends = opened()
    session.push(Frame("4last"))
    session.close()
    session.receive("1", 1.0)
    assert session.state is State.CLOSED
    assert ends.reasons == recorder.reasons == ["forced close"]


def test_no_heartbeat_runs_while_the_session_closes() -> None:
    session, _, ends = opened()
    session.close()
    assert session.on_deadline(25.0) is None
    assert waiting(session) == []
    assert ends.reasons == []


@pytest.mark.parametrize("reason", ["parse error", "transport error"])
def test_messages_sent_before_a_fault_arrive_before_the_close(reason: str) -> None:
    session, recorder, ends = opened()
    session.push(Frame("4last"))
    session.fail(reason)
    assert recorder.reasons == [reason]
    session.begin_poll(Wakes())
    assert session.poll() == "4last"
    assert session.poll() == "1"
    assert ends.reasons == [reason]


def test_a_fault_with_nothing_queued_ends_the_session_at_once() -> None:
    session, recorder, ends = opened()
    session.fail("transport error", 1009)
    assert recorder.reasons == ends.reasons == ["transport error"]
    assert session.close_code == (1009, "transport error")


def test_abort_after_close_is_reported_once() -> None:
    session, recorder, ends = opened()
    session.close(1008, "policy")
    session.abort("transport close")
    session.abort("transport close")
    session.websocket_ended()
    assert recorder.reasons == ends.reasons == ["forced close"]
    assert session.close_code == (1008, "policy")


def test_a_client_that_does_not_read_is_closed_as_too_slow() -> None:
    session, recorder, ends = opened(websocket=True)
    for _ in range(11):
        session.push(Frame("4" + "x" * 99))
    assert recorder.reasons == ends.reasons == ["too slow"]
    assert session.close_code == (1013, "too slow")
    assert waiting(session) == []


def test_a_polling_client_that_was_too_slow_still_gets_the_close_packet() -> None:
    session, recorder, ends = opened()
    for _ in range(11):
        session.push(Frame("4" + "x" * 99))
    assert recorder.reasons == ["too slow"]
    assert session.outbox.size == 0
    session.begin_poll(Wakes())
    assert session.poll() == "1"
    assert ends.reasons == ["too slow"]


def test_an_application_that_fails_to_close_affects_no_other() -> None:
    bug = RuntimeError("a bug")

    class Failing(Recorder):
        def session_ended(self, reason: str) -> None:
            raise bug

    session, _, ends = opened()
    session.start(Failing())
    session.abort("transport close")
    assert ends.reasons == ["transport close"]
    assert ends.failures == [("an application failed to close", bug)]


def test_a_session_that_ended_while_its_application_was_made_notifies_it() -> None:
    session, _, _ = opened()
    session.close()
    recorder = Recorder()
    session.start(recorder)
    assert recorder.reasons == ["forced close"]


def test_the_session_id_is_not_in_the_repr() -> None:
    session = Session(
        "secret-id",
        Handshake(),
        websocket=False,
        settings=SETTINGS,
        budgets=Budgets(SETTINGS.limits, Meter()),
        now=0.0,
        owner=Ends(),
    )
    assert "secret-id" not in repr(session)


# Long-polling


def test_a_poll_gets_everything_that_waits_in_order() -> None:
    session, _, _ = opened()
    wakes = Wakes()
    session.begin_poll(wakes)
    assert session.poll() is None
    for number in range(40):
        session.push(Frame(f"4{number}"))
    session.push(Frame(b"\x01"))
    assert wakes.count > 0
    assert session.poll() == "\x1e".join([*(f"4{number}" for number in range(40)), "bAQ=="])
    session.end_poll()
    session.push(Frame("4later"))
    session.begin_poll(wakes)
    assert session.poll() == "4later"


def test_a_second_poll_ends_the_session_and_the_first() -> None:
    session, recorder, _ = opened()
    wakes = Wakes()
    session.begin_poll(wakes)
    with pytest.raises(ProtocolError):
        session.begin_poll(Wakes())
    assert wakes.count == 1
    assert session.poll() == "1"
    assert recorder.reasons == ["transport error"]


def test_a_second_post_ends_the_session() -> None:
    session, recorder, _ = opened()
    session.begin_post()
    session.end_post()
    session.begin_post()
    with pytest.raises(ProtocolError):
        session.begin_post()
    assert recorder.reasons == ["transport error"]


def test_a_poll_is_answered_when_the_client_closes() -> None:
    session, _, _ = opened()
    wakes = Wakes()
    session.begin_poll(wakes)
    session.receive("1", 1.0)
    assert wakes.count == 1
    assert session.poll() == "6"


# Upgrade


def test_an_upgrade_hands_over_queued_packets() -> None:
    session, _, _ = opened()
    wakes = Wakes()
    session.begin_poll(wakes)
    assert session.begin_upgrade()
    assert session.transport == "polling"
    session.probe()
    assert session.probed
    assert wakes.count == 1
    assert session.poll() is None
    session.end_poll()
    session.push(Frame("4a"))
    assert session.complete_upgrade()
    assert session.transport == "websocket"
    assert waiting(session) == ["4a"]


def test_a_session_upgrades_once_and_one_at_a_time() -> None:
    session, _, _ = opened()
    assert session.begin_upgrade()
    assert not session.begin_upgrade()
    session.complete_upgrade()
    assert not session.begin_upgrade()


def test_an_abandoned_upgrade_loses_nothing_and_can_be_tried_again() -> None:
    session, _, _ = opened()
    session.begin_upgrade()
    session.probe()
    session.push(Frame("4a"))
    session.abandon_upgrade()
    session.begin_poll(Wakes())
    assert session.poll() == "4a"
    assert session.begin_upgrade()


def test_a_session_that_ends_ends_the_websocket_that_probes_it() -> None:
    session, _, _ = opened()
    session.begin_upgrade()
    session.carrier = carrier = Carrier()
    session.abort("ping timeout")
    assert carrier.ends == 1
    assert not session.complete_upgrade()
    assert not session.begin_upgrade()


def test_an_upgrade_in_progress_at_the_close_delivers_the_last_packets() -> None:
    session, recorder, ends = opened()
    session.begin_poll(Wakes())
    session.begin_upgrade()
    session.carrier = carrier = Carrier()
    session.probe()
    session.end_poll()
    session.push(Frame("4last"))
    session.close(1012, "restart")
    assert recorder.reasons == ["forced close"]
    assert carrier.ends == 0
    assert session.complete_upgrade()
    assert waiting(session) == ["4last"]
    session.websocket_ended()
    assert ends.reasons == ["forced close"]


def test_a_poll_beside_a_probe_gets_no_close_packet_until_the_upgrade_is_over() -> None:
    session, _, ends = opened()
    session.begin_upgrade()
    session.probe()
    session.close(1012, "restart")
    session.begin_poll(Wakes())
    assert session.poll() is None
    session.abandon_upgrade()
    assert session.poll() == "1"
    assert ends.reasons == ["forced close"]


def test_the_close_packet_ends_a_websocket_that_has_not_probed_yet() -> None:
    session, _, _ = opened()
    session.begin_upgrade()
    session.carrier = carrier = Carrier()
    session.close()
    session.begin_poll(Wakes())
    assert session.poll() == "1"
    assert carrier.ends == 1
