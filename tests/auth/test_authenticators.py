"""Authentication: which credentials are refused and which are accepted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_realtime.auth.admin_secret import AdminSecretAuthenticator
from asgi_realtime.auth.authenticators import JWTAuthenticator
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.auth.token_sources import token_from_auth, token_from_bearer, token_from_cookie, token_from_query
from asgi_realtime.errors import ConfigurationError, Unauthorized
from asgi_realtime.settings import Settings
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.ids import UserId
from asgi_realtime.values.json import Json
from tests.support.jwks_server import JWKSServer, KeyPair, jwk, sign

SECRET = "an-hmac-secret-that-is-long-enough-for-HS512-too-0123456789-abcdef"
RSA, OTHER_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
P256, P384, P521 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))
ED25519, ED448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
HMAC_SETTINGS = Settings(jwt_secret=SECRET)


def pem(key: KeyPair | ed448.Ed448PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Json) -> str:
    """A valid token except for the test's changes. A claim of None is left out."""
    claims = {"sub": "ann", "exp": time.time() + 60} | claims
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def segment(data: Json) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def accepted(verifier: JWTVerifier, text: str) -> bool:
    return (await verifier.verify(text)).user_id == "ann"


async def refused(verifier: JWTVerifier, text: str) -> bool:
    with pytest.raises(Unauthorized) as caught:
        await verifier.verify(text)
    # Neither the error that the client gets nor the logged exception contains the token.
    assert str(caught.value) == "invalid credentials"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return True


async def test_a_valid_token_gives_an_identity() -> None:
    identity = await JWTVerifier(HMAC_SETTINGS).verify(token(exp=4_000_000_000, role="admin"))
    assert identity.user_id == "ann"
    assert identity.claims["role"] == "admin"
    assert identity.expires_at == 4_000_000_000.0


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_shared_secret_verifies_its_algorithms(algorithm: str) -> None:
    assert await accepted(JWTVerifier(HMAC_SETTINGS), token(algorithm=algorithm))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *((RSA, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        *((P256, "ES256"), (P384, "ES384"), (P521, "ES512"), (ED25519, "EdDSA"), (ED448, "EdDSA")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_public_key_verifies_its_algorithms(key: KeyPair, algorithm: str) -> None:
    verifier = JWTVerifier(Settings(jwt_public_key=pem(key)))
    assert (await verifier.verify(token(key, algorithm))).user_id == "ann"


async def test_another_key_of_the_same_kind_is_refused() -> None:
    assert await refused(JWTVerifier(Settings(jwt_public_key=pem(RSA))), token(OTHER_RSA, "RS256"))
    assert await refused(JWTVerifier(HMAC_SETTINGS), token(SECRET + "x"))


async def test_an_algorithm_outside_the_list_is_refused() -> None:
    only = Settings(jwt_secret=SECRET, jwt_algorithms=("HS512",))
    assert await refused(JWTVerifier(only), token(algorithm="HS256"))
    assert await accepted(JWTVerifier(only), token(algorithm="HS512"))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 0, [], {}, ["HS256"], "HS256 ", "hs256"])
@pytest.mark.parametrize("settings", [HMAC_SETTINGS, Settings(jwt_public_key=pem(RSA))], ids=["secret", "public key"])
async def test_a_token_without_a_signature_algorithm_is_refused(settings: Settings, alg: Json) -> None:
    unsigned = segment({"alg": alg, "typ": "JWT"}) + "." + segment({"sub": "ann"})
    for signature in ("", "AAAA", segment(hmac.digest(SECRET.encode(), unsigned.encode(), "sha256"))):
        assert await refused(JWTVerifier(settings), f"{unsigned}.{signature}")


@pytest.mark.parametrize("text", [pem(RSA), pem(RSA).strip(), pem(RSA).replace("\n", "\\n")])
async def test_a_public_key_is_never_used_as_a_secret(text: str) -> None:
    # Written by hand: PyJWT refuses to sign with a key that it recognises.
    for secret in (text.encode(), pem(RSA).strip().encode(), pem(RSA).encode()):
        signed = segment({"alg": "HS256", "typ": "JWT"}) + "." + segment({"sub": "ann"})
        forged = f"{signed}.{segment(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
        assert await refused(JWTVerifier(Settings(jwt_public_key=text)), forged)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": -1},
        {"exp": "soon"},
        {"exp": [4_000_000_000]},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"nbf": 4_000_000_000},
        {"nbf": "later"},
        {"nbf": float("inf")},
    ],
    ids=str,
)
async def test_a_token_before_or_after_its_time_is_refused(claims: dict[str, Json]) -> None:
    assert await refused(JWTVerifier(HMAC_SETTINGS), token(**claims))


async def test_the_leeway_tolerates_clock_skew_and_moves_the_expiry() -> None:
    verifier = JWTVerifier(Settings(jwt_secret=SECRET, jwt_leeway=30))
    expired = int(time.time()) - 10
    assert (await verifier.verify(token(exp=expired, nbf=time.time() + 10))).expires_at == expired + 30
    assert await refused(verifier, token(exp=time.time() - 40))
    assert await refused(verifier, token(nbf=time.time() + 40))
    assert await refused(JWTVerifier(HMAC_SETTINGS), token(exp=expired))


async def test_a_token_without_expiry_does_not_expire() -> None:
    assert (await JWTVerifier(HMAC_SETTINGS).verify(token(exp=None))).expires_at is None


async def test_a_token_from_an_issuer_with_a_fast_clock_is_accepted() -> None:
    assert await accepted(JWTVerifier(HMAC_SETTINGS), token(iat=time.time() + 5))


@pytest.mark.parametrize("aud", [None, "other", ["other"], [], "", 7, ["mew", 7], {"mew": True}, "MEW", "mew "])
async def test_a_wrong_audience_is_refused(aud: Json) -> None:
    assert await refused(JWTVerifier(Settings(jwt_secret=SECRET, jwt_audience="mew")), token(aud=aud))


@pytest.mark.parametrize("aud", ["mew", ["mew"], ["other", "mew"]])
async def test_the_right_audience_is_accepted(aud: Json) -> None:
    assert await accepted(JWTVerifier(Settings(jwt_secret=SECRET, jwt_audience="mew")), token(aud=aud))


@pytest.mark.parametrize("iss", [None, "https://id.example.com/", "https://ID.example.com", "", 7, ["x"]])
async def test_a_wrong_issuer_is_refused(iss: Json) -> None:
    settings = Settings(jwt_secret=SECRET, jwt_issuer="https://id.example.com")
    # Written by hand: PyJWT refuses to write some of these tokens.
    signed = segment({"alg": "HS256"}) + "." + segment({"sub": "ann"} | ({} if iss is None else {"iss": iss}))
    text = f"{signed}.{segment(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"
    assert await refused(JWTVerifier(settings), text)
    assert await accepted(JWTVerifier(settings), token(iss="https://id.example.com"))


async def test_audience_and_issuer_are_not_checked_unless_configured() -> None:
    assert await accepted(JWTVerifier(HMAC_SETTINGS), token(aud=["anything"], iss="anyone"))


@pytest.mark.parametrize("claim", [None, "", 1.5, True, False, [], ["ann"], {"id": "ann"}, "\ud800"])
async def test_a_user_claim_without_a_user_id_is_refused(claim: Json) -> None:
    settings = Settings(jwt_secret=SECRET, jwt_user_claim="uid")
    assert await refused(JWTVerifier(settings), token(uid=claim))


@pytest.mark.parametrize(("claim", "user_id"), [("ann", "ann"), (7, "7"), (0, "0"), ("频道", "频道")])
async def test_the_user_claim_is_configurable_and_a_number_becomes_text(claim: Json, user_id: str) -> None:
    assert (await JWTVerifier(Settings(jwt_secret=SECRET, jwt_user_claim="uid")).verify(token(uid=claim))).user_id == (
        user_id
    )
    assert (await JWTVerifier(HMAC_SETTINGS).verify(token(sub=claim, jti=7))).user_id == user_id


async def test_no_user_of_a_token_has_the_id_of_a_service() -> None:
    service = await AdminSecretAuthenticator(ADMIN)(handshake(headers=HEADER, auth={"serviceType": "bots"}))
    verifier = JWTVerifier(HMAC_SETTINGS)
    assert await refused(verifier, token(sub=service.user_id))
    assert await refused(verifier, token(sub="service:"))
    assert (await verifier.verify(token(sub="services"))).user_id == "services"
    with pytest.raises(ValueError, match="such ids are for services"):
        create_token(service.user_id, HMAC_SETTINGS)


async def test_a_huge_token_is_refused_before_it_is_parsed(caplog: pytest.LogCaptureFixture) -> None:
    verifier = JWTVerifier(HMAC_SETTINGS)
    huge = token(padding="x" * 16_384)
    assert await refused(verifier, huge)
    assert await accepted(verifier, token(padding="x" * 10_000))
    roomy = Settings.from_env({"MEW_JWT_SECRET": SECRET, "MEW_HANDSHAKE_BYTES": "100000"})
    assert await accepted(JWTVerifier(roomy), huge)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*", fullmatch=True))
@example("")
@example("..")
@example(segment(b"[" * 9_000) + "..")
@example(segment(b'{"alg": "HS256", "x": ' + b"[" * 9_000) + "..AAAA")
@example(segment(b'{"alg": ' + b"1" * 9_000 + b"}") + "..AAAA")
@example(segment({"alg": "HS256", "kid": ["one"]}) + ".e30.AAAA")
@example(segment({"alg": "HS256", "crit": ["x"]}) + ".e30.AAAA")
@example(segment({"alg": "HS256", "b64": False, "crit": ["b64"]}) + "..AAAA")
@example("\ud800.\ud800.\ud800")
async def test_arbitrary_text_is_refused_as_a_token(text: str) -> None:
    assert await refused(JWTVerifier(HMAC_SETTINGS), text)
    assert await refused(JWTVerifier(Settings(jwt_public_key=pem(P256))), text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
@example([[]])
async def test_a_signed_payload_that_is_not_a_set_of_claims_is_refused(payload: Json) -> None:
    signed = segment({"alg": "HS256"}) + "." + segment(payload)
    text = f"{signed}.{segment(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"
    assert await refused(JWTVerifier(HMAC_SETTINGS), text)


async def test_a_signed_payload_nested_too_deep_is_refused() -> None:
    signed = segment({"alg": "HS256"}) + "." + segment(b'{"sub": "ann", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    text = f"{signed}.{segment(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"
    roomy = Settings.from_env({"MEW_JWT_SECRET": SECRET, "MEW_HANDSHAKE_BYTES": "1000000"})
    assert await refused(JWTVerifier(roomy), text)


async def test_a_refusal_carries_its_reason_for_the_log_but_not_for_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "asgi_realtime"), pytest.raises(Unauthorized) as caught:
        await JWTVerifier(HMAC_SETTINGS).verify(token(exp=1))
    assert (caught.value.log_reason, caught.value.message) == ("the token has expired", "invalid credentials")
    assert not [record for record in caplog.records if record.name.startswith("asgi_realtime")]


def test_a_verifier_without_a_key_names_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET"):
        JWTVerifier(Settings())


# Published keys


@pytest.mark.parametrize("kid", ["one", None])
async def test_a_published_key_verifies(kid: str | None) -> None:
    with JWKSServer([jwk(P256, "one")]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url))
        identity = await verifier.verify(sign(P256, "ES256", {"sub": "ann"}, kid))
    assert identity.user_id == "ann"


async def test_a_published_key_verifies_with_its_stated_algorithm_only() -> None:
    with JWKSServer([jwk(RSA, "one", alg="PS256")]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url))
        assert await accepted(verifier, sign(RSA, "PS256", {"sub": "ann"}, "one"))
        assert await refused(verifier, sign(RSA, "RS256", {"sub": "ann"}, "one"))


async def test_a_token_signed_by_another_than_the_key_it_names_is_refused() -> None:
    with JWKSServer([jwk(RSA, "one"), jwk(P256, "two")]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url))
        assert await refused(verifier, sign(OTHER_RSA, "RS256", {"sub": "ann"}, "one"))
        assert await refused(verifier, sign(P256, "ES256", {"sub": "ann"}, "one"))
        assert await refused(verifier, sign(P256, "ES256", {"sub": "ann"}, None))


@pytest.mark.parametrize("kid", ["same", None])
async def test_each_key_with_the_same_id_verifies(kid: str | None) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(9)]
    with JWKSServer([jwk(RSA, kid), *(jwk(key, kid) for key in keys)]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url))
        assert await accepted(verifier, sign(RSA, "RS256", {"sub": "ann"}, kid))
        for key in keys[:8]:
            assert await accepted(verifier, sign(key, "ES256", {"sub": "ann"}, kid))
        assert await refused(verifier, sign(keys[8], "ES256", {"sub": "ann"}, kid))  # more are not tried
        assert await refused(verifier, sign(P256, "ES256", {"sub": "ann"}, kid))
        assert await refused(verifier, sign(keys[0], "ES256", {"sub": "ann", "exp": 1}, kid))


async def test_a_flood_of_unknown_keys_causes_one_fetch() -> None:
    with JWKSServer([jwk(P256, "one")]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url, jwks_cooldown=3600))
        tokens = [sign(P256, "ES256", {"sub": "ann"}, f"unknown {number}") for number in range(100)]
        results = await asyncio.gather(*map(verifier.verify, tokens), return_exceptions=True)
        assert all(isinstance(result, Unauthorized) for result in results)
        assert server.fetches == 1
        assert await accepted(verifier, sign(P256, "ES256", {"sub": "ann"}, "one"))
        assert server.fetches == 1


async def test_an_unacceptable_token_causes_no_fetch() -> None:
    with JWKSServer([jwk(P256, "one")]) as server:
        verifier = JWTVerifier(Settings(jwks_url=server.url, jwks_cooldown=0))
        for text in ("", "a.b.c", token(), segment({"alg": "none", "kid": "one"}) + ".e30.", "x" * 20_000):
            assert await refused(verifier, text)
        assert await refused(verifier, segment({"alg": "ES256", "kid": ["one"]}) + ".e30.AAAA")
        assert server.fetches == 0


async def test_while_the_endpoint_is_down_every_token_is_refused_without_another_fetch() -> None:
    with JWKSServer() as server:
        server.status = 500
        verifier = JWTVerifier(Settings(jwks_url=server.url, jwks_cooldown=3600))
        text = sign(P256, "ES256", {"sub": "ann"}, "one")
        results = await asyncio.gather(*(verifier.verify(text) for _ in range(100)), return_exceptions=True)
        assert all(isinstance(result, Unauthorized) for result in results)
        assert server.fetches == 1


# Where tokens are found


def handshake(**parts: Any) -> Handshake:
    return Handshake(gateway="/", **parts)


@pytest.mark.parametrize("auth", [None, {}, [], "token", 7, {"token": None}, {"token": ""}, {"Token": "t"}])
def test_a_payload_without_a_token_gives_none(auth: Json) -> None:
    assert token_from_auth("token")(handshake(auth=auth)) is None


@pytest.mark.parametrize("value", [7, True, ["t"], {"t": 1}, b"t"])
def test_a_token_that_is_not_text_is_refused(value: Json) -> None:
    with pytest.raises(Unauthorized):
        token_from_auth("token")(handshake(auth={"token": value}))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Bearer t.t.t", "t.t.t"),
        ("bearer t.t.t", "t.t.t"),
        ("BEARER   t.t.t ", "t.t.t"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic dXNlcjpwYXNz", None),
        ("t.t.t", None),
        ("", None),
    ],
)
def test_the_authorization_header_is_read_as_a_bearer_token(header: str, found: str | None) -> None:
    assert token_from_bearer()(handshake(headers={"authorization": header})) == found


def test_a_token_is_read_from_auth_cookie_or_query() -> None:
    assert token_from_auth("token")(handshake(auth={"token": "t"})) == "t"
    assert token_from_cookie("mew_access_token")(handshake(cookies={"mew_access_token": "t"})) == "t"
    assert token_from_cookie("mew_access_token")(handshake(cookies={"mew_access_token": ""})) is None
    assert token_from_query("token")(handshake(query={"token": "t"})) == "t"
    assert token_from_query("token")(handshake()) is None
    assert token_from_bearer()(handshake()) is None


MEW = (token_from_auth("token"), token_from_cookie("mew_access_token"), token_from_bearer())


def mew() -> JWTAuthenticator:
    return JWTAuthenticator(JWTVerifier(HMAC_SETTINGS), MEW)


async def test_the_sources_are_read_in_order() -> None:
    ann, bob, cid = (create_token(name, HMAC_SETTINGS) for name in ("ann", "bob", "cid"))
    parts: dict[str, Any] = {"headers": {"authorization": f"Bearer {cid}"}}
    assert (await mew()(handshake(**parts))).user_id == "cid"
    parts["cookies"] = {"mew_access_token": bob}
    assert (await mew()(handshake(**parts))).user_id == "bob"
    parts["auth"] = {"token": ann}
    assert (await mew()(handshake(**parts))).user_id == "ann"


async def test_a_bad_token_is_refused_beside_a_valid_one() -> None:
    good = create_token("ann", HMAC_SETTINGS)
    for bad in ("not a token", create_token("ann", HMAC_SETTINGS, expires_in=-60), 7):
        with pytest.raises(Unauthorized):
            await mew()(handshake(auth={"token": bad}, cookies={"mew_access_token": good}))


async def test_without_a_token_no_client_connects() -> None:
    for parts in ({}, {"query": {"token": create_token("ann", HMAC_SETTINGS)}}, {"auth": "ann"}):
        with pytest.raises(Unauthorized):
            await mew()(handshake(**parts))


async def test_revoking_one_token_does_not_revoke_another() -> None:
    revocations = Revocations(ttl=60)
    verifier = JWTVerifier(HMAC_SETTINGS)
    revoked = await verifier.verify(create_token("ann", HMAC_SETTINGS, jti="j1"))
    assert not revocations.is_revoked(revoked)
    revocations.revoke_token("j1")
    assert revocations.is_revoked(revoked)
    assert not revocations.is_revoked(await verifier.verify(create_token("ann", HMAC_SETTINGS)))


async def test_a_revoked_user_needs_a_newer_token() -> None:
    revocations = Revocations(ttl=60)
    verifier = JWTVerifier(HMAC_SETTINGS)
    old = await verifier.verify(create_token("ann", HMAC_SETTINGS))
    revocations.revoke_user(UserId("ann"), time.time())
    new = await verifier.verify(create_token("ann", HMAC_SETTINGS))  # usually issued in the same second
    assert revocations.is_revoked(old)
    assert not revocations.is_revoked(new)
    assert not revocations.is_revoked(await verifier.verify(create_token("bob", HMAC_SETTINGS)))


# Tokens made by `create_token`


async def test_a_created_token_has_the_claims_that_the_settings_require() -> None:
    settings = Settings(
        jwt_secret=SECRET, jwt_audience="mew", jwt_issuer="us", jwt_user_claim="uid", jwt_algorithms=("HS512",)
    )
    made = create_token("ann", settings, role="admin")
    assert jwt.get_unverified_header(made)["alg"] == "HS512"
    identity = await JWTVerifier(settings).verify(made)
    assert identity.user_id == "ann"
    assert identity.claims["role"] == "admin"
    assert identity.claims["jti"] != (await JWTVerifier(settings).verify(create_token("ann", settings))).claims["jti"]
    assert identity.expires_at is not None and 3590 < identity.expires_at - time.time() <= 3600
    assert (await JWTVerifier(settings).verify(create_token("ann", settings, expires_in=None))).expires_at is None


def test_tokens_are_made_with_a_shared_secret_only() -> None:
    with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET"):
        create_token("ann", Settings(jwt_public_key=pem(RSA)))


# Infra

ADMIN = "correct horse battery staple ü"
HEADER = {"x-mew-admin-secret": ADMIN.encode().decode("latin-1")}


@pytest.mark.parametrize(
    "parts",
    [
        {"headers": HEADER, "auth": {"serviceType": "bots"}},
        {"headers": HEADER, "query": {"serviceType": "bots", "EIO": "4"}},
        {"auth": {"adminSecret": ADMIN, "serviceType": "bots"}},
        {"auth": {"adminSecret": ADMIN}, "query": {"serviceType": "bots"}},
        {"auth": {"adminSecret": ADMIN, "serviceType": "bots"}, "query": {"serviceType": "ignored"}},
        {"headers": HEADER, "auth": {"adminSecret": "ignored", "serviceType": "bots"}},
    ],
)
async def test_the_admin_secret_with_a_service_type_is_accepted(parts: dict[str, Any]) -> None:
    identity = await AdminSecretAuthenticator(ADMIN)(handshake(**parts))
    assert identity.user_id == "service:bots"
    assert identity.claims == {"serviceType": "bots"}
    assert identity.expires_at is None


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"auth": {"serviceType": "bots"}},
        {"auth": {"adminSecret": "wrong", "serviceType": "bots"}},
        {"auth": {"adminSecret": "", "serviceType": "bots"}},
        {"auth": {"adminSecret": None, "serviceType": "bots"}},
        {"auth": {"adminSecret": [ADMIN], "serviceType": "bots"}},
        {"auth": {"adminSecret": ADMIN + " ", "serviceType": "bots"}},
        {"auth": {"adminSecret": "\ud800", "serviceType": "bots"}},
        {"headers": {"x-mew-admin-secret": "wrong"}, "auth": {"adminSecret": ADMIN, "serviceType": "bots"}},
        {"headers": {"x-mew-admin-secret": "频"}, "auth": {"serviceType": "bots"}},
        {"headers": HEADER},
        {"headers": HEADER, "auth": {"serviceType": ""}},
        {"headers": HEADER, "auth": {"serviceType": None}, "query": {"serviceType": "bots"}},
        {"headers": HEADER, "auth": {"serviceType": 7}},
        {"headers": HEADER, "auth": {"serviceType": ["bots"]}},
        {"headers": HEADER, "auth": {"serviceType": "sdk"}},
        {"headers": HEADER, "auth": {"serviceType": " SDK "}},
        {"headers": HEADER, "query": {"serviceType": "sdk"}},
        {"headers": HEADER, "auth": ["bots"]},
    ],
)
async def test_a_wrong_admin_secret_or_service_type_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await AdminSecretAuthenticator(ADMIN)(handshake(**parts))


@pytest.mark.parametrize("name", ["adminSecret", "x-mew-admin-secret", "X-Mew-Admin-Secret", "secret", "token", "a"])
async def test_a_secret_in_the_query_is_refused_even_when_it_is_right(name: str) -> None:
    query = {name: ADMIN, "serviceType": "bots"}
    for parts in ({}, {"headers": HEADER}, {"auth": {"adminSecret": ADMIN}}):
        with pytest.raises(Unauthorized):
            await AdminSecretAuthenticator(ADMIN)(handshake(query=query, **parts))


async def test_a_wrong_secret_in_the_query_is_refused_beside_a_valid_one() -> None:
    query = {"adminSecret": "wrong", "serviceType": "bots"}
    with pytest.raises(Unauthorized):
        await AdminSecretAuthenticator(ADMIN)(handshake(headers=HEADER, query=query))


@pytest.mark.parametrize("secret", [None, ""])
@pytest.mark.parametrize("presented", [None, "", "None", ADMIN])
async def test_without_a_configured_admin_secret_every_client_is_refused(
    secret: str | None, presented: str | None
) -> None:
    auth = {"adminSecret": presented, "serviceType": "bots"}
    with pytest.raises(Unauthorized):
        await AdminSecretAuthenticator(secret)(handshake(auth=auth))


async def test_a_user_token_is_refused() -> None:
    user = create_token("ann", HMAC_SETTINGS)
    with pytest.raises(Unauthorized):
        await AdminSecretAuthenticator(ADMIN)(
            handshake(headers={"authorization": f"Bearer {user}"}, auth={"token": user, "serviceType": "bots"})
        )
