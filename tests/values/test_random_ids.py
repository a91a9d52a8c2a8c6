from __future__ import annotations

import re

from asgi_realtime.values.random_ids import random_id


def test_ids_are_different_and_fit_into_an_url() -> None:
    ids = {random_id() for _ in range(2_000)}
    assert len(ids) == 2_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", each) for each in ids)
    assert set("".join(ids)) > set("-_")
