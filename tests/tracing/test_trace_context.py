"""How a trace context is read from headers, and packed for other processes."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState

from asgi_realtime.tracing.trace_context import STATE_BYTES, TraceContext, bounded_state, from_headers, pack, unpack
from tests.support.recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT

IDS = TRACEPARENT[:-2]
ids = st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1)
keys = st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}", fullmatch=True)
values = st.from_regex(r"[!-+\--<>-~]{1,20}", fullmatch=True)
states = st.dictionaries(keys, values, max_size=8).map(lambda found: ",".join([f"{key}={found[key]}" for key in found]))
contexts = st.builds(TraceContext, *ids, st.integers(0, 255), states.map(bounded_state))


def test_a_header_names_a_span() -> None:
    assert from_headers({"traceparent": TRACEPARENT}) == TraceContext(TRACE_ID, SPAN_ID, 1)


def test_a_later_version_may_have_more() -> None:
    assert from_headers({"traceparent": f"cc{IDS[2:]}03-what-else"}) == TraceContext(TRACE_ID, SPAN_ID, 3)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "00",
            IDS,
            f"{IDS}1",
            f"{IDS}001",
            f"{IDS}01-",
            f"{IDS}01-more",
            f"ff{IDS[2:]}01",
            f" {IDS}01",
            f"{IDS}0g",
        ),
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
        f"00-{'١' * 32}-{'1' * 16}-01",
        f"cc{IDS[2:]}01-{'x' * 600}",
        f"cc{IDS[2:]}01-\nmore",
        f"{IDS}01\n",
    ],
)
def test_other_headers_name_none(header: str) -> None:
    assert from_headers({"traceparent": header}) is None


@pytest.mark.parametrize(
    ("header", "state"),
    [
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("rojo=1 , \tcongo=2", "rojo=1,congo=2"),
        ("t1@system=1", "t1@system=1"),
        ("", ""),
        ("nonsense", ""),
        ("Upper=1", ""),
        ("a=1,,b=2", ""),
        ("a=1\n", ""),
        ("a=ä", ""),
        (",".join([f"k{number}=1" for number in range(33)]), ""),
        (
            ",".join([f"k{number}={'x' * 100}" for number in range(10)]),
            ",".join([f"k{number}={'x' * 100}" for number in range(4)]),
        ),
        ("a=" + "x" * 100_000, ""),
    ],
)
def test_the_state_is_valid_and_bounded(header: str, state: str) -> None:
    assert from_headers({"traceparent": TRACEPARENT, "tracestate": header}) == TraceContext(TRACE_ID, SPAN_ID, 1, state)


@given(st.text())
def test_any_header_is_read_or_ignored(header: str) -> None:
    from_headers({"traceparent": header, "tracestate": header})


@given(st.text(alphabet="abc=,@ _-*/1\t", max_size=60))
def test_opentelemetry_accepts_every_state_that_is_kept(header: str) -> None:
    context = from_headers({"traceparent": TRACEPARENT, "tracestate": header})
    assert context is not None
    if context.state:
        lines = _Lines()
        logging.getLogger("opentelemetry.trace.span").addHandler(lines)
        try:
            kept = TraceState.from_header([context.state])
        finally:
            logging.getLogger("opentelemetry.trace.span").removeHandler(lines)
        names = [member.partition("=")[0] for member in context.state.split(",")]
        assert lines.lines == []
        assert list(kept) == (names if len(names) == len(set(names)) else [])


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@given(contexts)
def test_a_context_survives_packing(context: TraceContext) -> None:
    data = pack(context)
    assert unpack(data) == context
    assert len(data) == 25 + len(context.state)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_context_or_none(data: bytes) -> None:
    found = unpack(data)
    if found is not None:
        assert found.trace_id and found.span_id
        assert unpack(pack(found)) == found


@pytest.mark.parametrize("size", [0, 24, 25 + STATE_BYTES + 1, 1_000_000])
def test_bytes_of_another_size_are_no_context(size: int) -> None:
    assert unpack(b"\x01" * size) is None
