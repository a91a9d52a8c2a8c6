"""The pages of several processes as one list."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from asgi_realtime.console.cluster_view import merged


@given(st.lists(st.sets(st.integers(0, 40)), max_size=4), st.integers(1, 5), st.integers(1, 5))
def test_turning_pages_shows_each_row_once_and_in_order(parts: list[set[int]], wanted: int, sent: int) -> None:
    """`wanted` rows are shown at a time; each process sends at most `sent`."""
    found: list[int] = []
    more = True
    while more:
        after = found[-1] if found else -1
        rest = [sorted(number for number in part if number > after) for part in parts]
        rows, early = merged([(rows[:sent], len(rows) > sent) for rows in rest], lambda number: number)
        distinct = sorted(set(rows))
        found += distinct[:wanted]
        more = early or len(distinct) > wanted
    assert found == sorted(set().union(*parts))
