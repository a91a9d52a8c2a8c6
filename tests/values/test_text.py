from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.values.text import is_whole, repair, repaired

any_text = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("好 é 😀 \ufffd", "好 é 😀 \ufffd"),
        ("see you \ud83d", "see you \ufffd"),
        ("\ude00 again", "\ufffd again"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        ("\udcff", "\ufffd"),
    ],
)
def test_halves_of_surrogate_pairs_become_u_fffd(text: str, expected: str) -> None:
    assert repair(text) == repaired(text) == expected
    assert is_whole(expected)


@given(any_text)
def test_repaired_text_encodes_as_utf_8_and_whole_text_is_unchanged(text: str) -> None:
    result = repaired(text)
    assert result.encode().decode() == result
    assert repaired(result) == result
    assert is_whole(text) is not any("\ud800" <= character <= "\udfff" for character in text)
    if is_whole(text):
        assert result == text
    else:
        assert len(result) <= len(text)
