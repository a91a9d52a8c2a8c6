"""The form of the ids of clients."""

from __future__ import annotations

import secrets

from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.socketio.sids import is_sid, new_sid


def test_every_new_id_has_the_form_of_an_id() -> None:
    sids = {new_sid() for _ in range(1_000)}
    assert len(sids) == 1_000
    assert all(is_sid(sid) and len(sid) == 20 and sid.isascii() for sid in sids)


@given(st.text(max_size=30))
def test_names_of_rooms_do_not_have_it(name: str) -> None:
    assert not is_sid(name)


def test_one_changed_character_is_noticed() -> None:
    sid = new_sid()
    for place, character in enumerate(sid):
        other = "A" if character != "A" else "B"
        assert not is_sid(sid[:place] + other + sid[place + 1 :])
    assert not any(is_sid(secrets.token_urlsafe(15)) for _ in range(1_000))
