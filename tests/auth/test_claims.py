"""`Claims` equals the claims of the token, also with unusual values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.auth.claims import Claims, may_have_token_id
from asgi_realtime.payloads.encoding import encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_claims_equal_those_of_the_token(payload: dict[str, Any]) -> None:
    claims = Claims(payload)
    assert claims == payload and dict(claims) == payload
    assert len(claims) == len(payload) and repr(claims) == repr(payload)
    assert all(claims[name] == value and name in claims for name, value in payload.items())


def test_a_claim_absent_from_the_token_is_missing() -> None:
    claims = Claims({"sub": "ann"})
    assert claims.get("role") is None and "role" not in claims
    with pytest.raises(KeyError, match="role"):
        claims["role"]


def test_the_claims_of_a_token_are_read_only() -> None:
    claims = Claims({"roles": ["reader"]})
    claims["roles"].append("admin")
    assert claims["roles"] == ["reader"]


def test_claims_can_be_sent() -> None:
    assert encode({"you": Claims({"sub": "ann", "roles": ["admin"]})}) == (
        b'{"you":{"sub":"ann","roles":["admin"]}}',
        (),
    )


@given(st.dictionaries(st.text(max_size=10), values, max_size=3), values)
def test_the_fast_test_finds_every_token_that_has_an_id(payload: dict[str, Any], jti: Any) -> None:
    payload["jti"] = jti
    for claims in (payload, Claims(payload)):
        assert may_have_token_id(str(jti))(claims)


def test_the_fast_test_leaves_out_other_tokens() -> None:
    revoked = may_have_token_id("j1")
    assert not revoked(Claims({"jti": "j2", "sub": "ann"}))
    assert not revoked(Claims({"jti": 7}))
    assert not revoked(Claims({"sub": "ann"}))
    assert revoked(Claims({"jti": "j12"})), "decoding says more"
