"""Tokens are taken apart as PyJWT makes them, and a changed token is refused."""

from __future__ import annotations

import base64
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.signed_token import TokenReader
from asgi_realtime.errors import Unauthorized
from asgi_realtime.settings import Settings
from asgi_realtime.values.json import Json

SECRET = "an-hmac-secret-that-is-long-enough-for-HS512-too-0123456789-abcdef"
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
CLAIMS: dict[str, Json] = {"sub": "ann?>~", "exp": 4_000_000_000}
TOKENS = {
    "HS256": (jwt.encode(CLAIMS, SECRET, "HS256"), JWTVerifier(Settings(jwt_secret=SECRET))),
    "ES256": (jwt.encode(CLAIMS, KEY, "ES256"), JWTVerifier(Settings(jwt_public_key=PEM))),
}
NOT_TOKENS = (jwt.PyJWTError, ValueError, RecursionError)


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: Json) -> str:
    """A token with any header, signed with HS256."""
    signed = f"{segment(json.dumps(header).encode())}.{segment(json.dumps(CLAIMS).encode())}"
    return f"{signed}.{segment(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_of_pyjwt_is_taken_apart(name: str) -> None:
    token, verifier = TOKENS[name]
    read = TokenReader().read(token)
    assert read.header == (name, None)
    assert json.loads(read.payload) == CLAIMS
    assert (await verifier.verify(token)).user_id == "ann?>~"


@pytest.mark.parametrize("name", TOKENS)
@given(data=st.data())
async def test_a_token_with_one_other_character_is_refused(name: str, data: st.DataObject) -> None:
    token, verifier = TOKENS[name]
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABZaz09-_+/=. \n") | st.characters())
    if character == token[at]:
        return
    with pytest.raises(Unauthorized):
        await verifier.verify(token[:at] + character + token[at + 1 :])


@pytest.mark.parametrize("name", TOKENS)
@given(st.sampled_from("ABZaz09-_+/=. \n") | st.characters())
async def test_a_token_with_one_more_character_is_refused_unless_it_is_padding(name: str, character: str) -> None:
    token, verifier = TOKENS[name]
    padding = "=" * (-len(token.rpartition(".")[2]) % 4)
    assert (await verifier.verify(token + padding)).user_id == "ann?>~"
    if character != padding:
        with pytest.raises(Unauthorized):
            await verifier.verify(token + character)


@given(st.binary(max_size=40))
def test_every_signature_and_payload_is_read_as_it_was_written(data: bytes) -> None:
    header = segment(b'{"alg":"HS256"}')
    read = TokenReader().read(f"{header}.{segment(data)}.{segment(data)}")
    assert (read.payload, read.signature) == (data, data)
    assert read.signed == f"{header}.{segment(data)}".encode()


def test_other_texts_of_the_same_bytes_are_refused() -> None:
    header = segment(b'{"alg":"HS256"}')
    reader = TokenReader()
    assert reader.read(f"{header}.QQ.QQ").payload == reader.read(f"{header}.QQ==.QQ==").payload == b"A"
    for text in ("QR", "QQ=", "QQ===", "Q=Q=", "QUF=", "+w", "/w", "A", "QUFB="):
        with pytest.raises(NOT_TOKENS):
            reader.read(f"{header}.{text}.QQ")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "crit": ["b64"], "b64": True},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False},
        {"alg": "HS256", "b64": None},
        {"alg": "HS256", "kid": None},
        {"alg": ["HS256"]},
        {},
        [],
    ],
    ids=str,
)
async def test_a_header_with_extensions_or_wrong_types_is_refused(header: Json) -> None:
    verifier = TOKENS["HS256"][1]
    assert (await verifier.verify(by_hand({"alg": "HS256", "typ": "JWT"}))).user_id == "ann?>~"
    for _ in range(2):  # also when the header was read before
        with pytest.raises(Unauthorized):
            await verifier.verify(by_hand(header))


def test_no_more_than_a_bounded_number_of_headers_is_kept() -> None:
    reader = TokenReader()
    for number in range(1_000):
        assert reader.read(f"{segment(json.dumps({'alg': 'HS256', 'kid': str(number)}).encode())}..").header == (
            "HS256",
            str(number),
        )
    reader.read(f"{segment(json.dumps({'alg': 'HS256', 'kid': 'x' * 10_000}).encode())}..")
    assert reader.kept_headers == 64


async def test_a_token_expires_although_its_header_is_known() -> None:
    verifier = TOKENS["HS256"][1]
    with pytest.raises(Unauthorized) as caught:
        await verifier.verify(jwt.encode({"sub": "ann", "exp": time.time() - 1}, SECRET, "HS256"))
    assert caught.value.log_reason == "the token has expired"
