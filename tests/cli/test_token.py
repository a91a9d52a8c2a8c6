"""`asgi-realtime token`: tokens that the app accepts, and why it refuses others."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from asgi_realtime.auth.create_token import create_token
from asgi_realtime.auth.jwt_verifier import InvalidToken, JWTVerifier
from asgi_realtime.cli.commands import main
from asgi_realtime.cli.times import describe_time, read_duration
from asgi_realtime.settings import Settings
from tests.support.command_line import on_a_terminal
from tests.support.jwks_server import JWKSServer, jwk, sign

SECRET = "a secret of at least thirty-two bytes"
SETTINGS = Settings(jwt_secret=SECRET)
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
NOW = 1_800_000_000
VALID = {"sub": "ann", "exp": NOW * 2}
ENDLESS = "opaque-" + "x" * 20_000


def run(environ: dict[str, str], *arguments: str, stdin: str | bytes = "") -> Result:
    done = CliRunner(env=environ).invoke(main, ["token", *arguments], input=stdin)
    assert SECRET not in done.output
    return done


def hs256(claims: object, secret: str = SECRET) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")  # type: ignore[arg-type]


async def test_a_made_token_is_accepted_with_the_same_settings() -> None:
    environ = {
        "MEW_JWT_SECRET": SECRET,
        "MEW_JWT_AUDIENCE": "chat",
        "MEW_JWT_ISSUER": "login",
        "MEW_JWT_USER_CLAIM": "uid",
        "MEW_JWT_ALGORITHMS": "HS512,HS256",
    }
    claims = '{"user_id": 7, "settings": null, "expires_in": [], "name": "Anna"}'
    done = run(environ, "make", "ann", "--name", "Ann", "--ttl", "2h", "--claims", claims)
    assert (done.exit_code, done.stderr) == (0, "")
    identity = await JWTVerifier(Settings.from_env(environ)).verify(done.output.strip())
    assert identity.user_id == "ann"
    assert dict(identity.claims).items() >= json.loads(claims).items()
    assert identity.expires_at is not None
    assert 7_000 < identity.expires_at - time.time() <= 7_200
    assert jwt.get_unverified_header(done.output.strip())["alg"] == "HS512"


def test_a_token_for_ever_has_no_expiry() -> None:
    done = run({"MEW_JWT_SECRET": SECRET}, "make", "ann", "--ttl", "never", "--json")
    made = json.loads(done.output)
    assert (made["algorithm"], made["expires_at"]) == ("HS256", None)
    inspected = run({"MEW_JWT_SECRET": SECRET}, "inspect", made["token"])
    assert inspected.exit_code == 0
    assert re.search(r"^expires +never$", inspected.output, re.MULTILINE)


def test_the_expiry_that_is_printed_is_that_of_the_token() -> None:
    for arguments in ([], ["--claims", '{"exp": 2000000000}']):
        made = json.loads(run({"MEW_JWT_SECRET": SECRET}, "make", "ann", "--json", *arguments).output)
        assert made["expires_at"] == jwt.decode(made["token"], SECRET, algorithms=["HS256"])["exp"]
    assert made["expires_at"] == 2_000_000_000


@pytest.mark.parametrize(
    ("environ", "arguments", "code", "message"),
    [
        ({}, [], 1, "set it, or MEW_DEV=true"),
        ({"MEW_DEV": "true"}, [], 1, "set MEW_JWT_SECRET, here and for the app"),
        ({"MEW_JWT_PUBLIC_KEY": PEM}, [], 1, "let it make the token"),
        ({"MEW_JWKS_URL": "https://id.example.com/keys"}, [], 1, "log in there, and use its token"),
        ({"MEW_JWT_SECRET": SECRET, "MEW_PING_INTERVAL": "often"}, [], 1, "MEW_PING_INTERVAL must be a number"),
        ({"MEW_JWT_SECRET": SECRET}, ["--ttl", "soon"], 2, "write seconds, or 90s, 15m, 12h, 7d"),
        ({"MEW_JWT_SECRET": SECRET}, ["--ttl", "0"], 2, "is not a time"),
        ({"MEW_JWT_SECRET": SECRET}, ["--ttl", "99999999999"], 2, "at most 100 years"),
        ({"MEW_JWT_SECRET": SECRET}, ["--claims", "[1]"], 2, "write a JSON object"),
        ({"MEW_JWT_SECRET": SECRET}, ["--claims", '{"a": "\udcff"}'], 2, "write a JSON object"),
        ({"MEW_JWT_SECRET": SECRET}, ["--claims", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"], 2, "write a JSON object"),
        ({"MEW_JWT_SECRET": SECRET}, ["--claims", '{"sub": "service:bots"}'], 1, "such ids are for services"),
        ({"MEW_JWT_SECRET": SECRET}, ["--claims", '{"aud": 7, "iss": 7}'], 1, "Error: "),
    ],
)
def test_a_token_that_cannot_be_made_is_refused_with_the_remedy(
    environ: dict[str, str], arguments: list[str], code: int, message: str
) -> None:
    done = run(environ, "make", "ann", *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


SECRET_KEY = {"MEW_JWT_SECRET": SECRET}
REFUSED: list[tuple[InvalidToken, dict[str, str], str, str]] = [
    (InvalidToken.EXPIRED, {}, hs256({"sub": "ann", "exp": 1}), "MEW_JWT_LEEWAY"),
    (InvalidToken.NOT_YET, {}, hs256({"sub": "ann", "nbf": NOW * 2}), "MEW_JWT_LEEWAY"),
    (
        InvalidToken.AUDIENCE,
        {"MEW_JWT_AUDIENCE": "chat"},
        hs256({**VALID, "aud": "x"}),
        'for "x", and MEW_JWT_AUDIENCE',
    ),
    (
        InvalidToken.ISSUER,
        {"MEW_JWT_ISSUER": "login"},
        hs256({**VALID, "iss": "x"}),
        'of "x", and MEW_JWT_ISSUER is "lo',
    ),
    (InvalidToken.MISSING_CLAIM, {"MEW_JWT_ISSUER": "login"}, hs256(VALID), "its claims are sub, exp;"),
    (InvalidToken.SIGNATURE, {}, hs256(VALID, "x" * 32), "the same MEW_JWT_SECRET"),
    (
        InvalidToken.SIGNATURE,
        {"MEW_JWT_PUBLIC_KEY": PEM},
        sign(OTHER_KEY, "ES256", VALID, None),
        "MEW_JWT_PUBLIC_KEY to",
    ),
    (
        InvalidToken.ALGORITHM,
        {"MEW_JWT_ALGORITHMS": "HS512"},
        hs256(VALID),
        'signed with "HS256", and accepted are HS512',
    ),
    (InvalidToken.NO_USER_ID, {}, hs256({"uid": "ann"}), "its claims are uid; set MEW_JWT_USER_CLAIM"),
    (InvalidToken.RESERVED_USER_ID, {}, hs256({"sub": "service:bots"}), "let the service present MEW_ADMIN_SECRET"),
    (InvalidToken.NOT_A_JWT, {}, "opaque", "three parts in base64url, with dots between them; this text has 1"),
    (InvalidToken.NOT_A_JWT, {}, "a.b.c", "each part must be base64url"),
    (
        InvalidToken.NOT_A_JWT,
        {},
        jwt.PyJWS().encode(b"[1]", SECRET),
        "the second part, the claims, must be",
    ),
    (InvalidToken.NOT_A_JWT, {}, hs256({"sub": "ann", "exp": "soon"}), "exp and nbf must be numbers"),
    (InvalidToken.NOT_A_JWT, {}, ENDLESS, f"it has {len(ENDLESS)} characters; MEW_HANDSHAKE_BYTES allows 16384"),
]


@pytest.mark.parametrize(("reason", "environ", "token", "remedy"), REFUSED)
def test_a_refused_token_is_explained(reason: InvalidToken, environ: dict[str, str], token: str, remedy: str) -> None:
    environ = environ if "MEW_JWT_PUBLIC_KEY" in environ else SECRET_KEY | environ
    done = run(environ, "inspect", "--json", stdin=token)
    report = json.loads(done.output)
    assert (done.exit_code, report["valid"], report["reason"]) == (1, False, reason)
    assert remedy in report["remedy"]
    text = run(environ, "inspect", token)
    assert text.exit_code == 1
    first, second = text.output.splitlines()[:2]
    assert re.fullmatch(rf"not valid +{re.escape(reason)}", first)
    assert second.startswith("remedy ")
    assert remedy in second


def test_published_keys_are_fetched() -> None:
    with JWKSServer([jwk(KEY, "one")]) as server:
        environ = {"MEW_JWKS_URL": server.url}
        assert run(environ, "inspect", sign(KEY, "ES256", VALID, "one")).exit_code == 0
        for key, kid, reason, remedy in (
            (OTHER_KEY, "one", InvalidToken.SIGNATURE, "than it publishes under this kid"),
            (KEY, "two", InvalidToken.UNPUBLISHED, 'no key with the kid "two" is at MEW_JWKS_URL'),
        ):
            report = json.loads(run(environ, "inspect", "--json", sign(key, "ES256", VALID, kid)).output)
            assert report["reason"] == reason
            assert remedy in report["remedy"]


def test_every_reason_has_a_case() -> None:
    assert {reason for reason, *_ in REFUSED} | {InvalidToken.UNPUBLISHED} == set(InvalidToken)


@pytest.mark.parametrize(
    ("environ", "reason", "remedy"),
    [
        ({}, "no key to verify tokens with", "set MEW_JWT_SECRET (the shared secret"),
        ({"MEW_DEV": "true"}, "MEW_DEV without MEW_JWT_SECRET gives", "set MEW_JWT_SECRET, here and for the app"),
    ],
)
def test_without_a_key_the_parts_are_shown(environ: dict[str, str], reason: str, remedy: str) -> None:
    done = run(environ, "inspect", "--json", hs256(VALID))
    report = json.loads(done.stdout)
    assert (done.exit_code, report["claims"]) == (1, VALID)
    assert report["reason"].startswith(reason)
    assert report["remedy"].startswith(remedy)


@pytest.mark.parametrize("stdin", ["", "  \n", "Bearer "])
def test_no_token_is_wrong_usage(stdin: str) -> None:
    done = run(SECRET_KEY, "inspect", stdin=stdin)
    assert done.exit_code == 2
    assert "there is no token" in done.stderr


def test_what_is_around_a_token_does_not_matter() -> None:
    assert run(SECRET_KEY, "inspect", stdin=f"Bearer {hs256(VALID)}\n").exit_code == 0
    assert run(SECRET_KEY, "inspect", stdin=b"\xff\xfe").exit_code == 1


def test_neither_signature_nor_secret_is_printed_and_no_claim_controls_the_terminal() -> None:
    token = create_token("ann", SETTINGS, name="\x1b[31m\u202e[bold]", **{"a\nb": 1})
    done = run(SECRET_KEY, "inspect", token)
    assert token.split(".")[2] not in done.output
    assert '"\\u001b[31m\\u202e[bold]"' in done.output
    assert "claim a\\nb" in done.output


def test_colours_are_for_terminals_and_can_be_turned_off() -> None:
    token = hs256({"sub": "ann", "note": "word " * 40})
    colourful = on_a_terminal(SECRET_KEY | {"NO_COLOR": ""}, "token", "inspect", token)
    plain = on_a_terminal(SECRET_KEY | {"NO_COLOR": "1"}, "token", "inspect", token)
    assert "\x1b[32mvalid" in colourful
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert "\x1b[32m" not in plain
    assert max(map(len, plain.splitlines())) <= 60
    piped = run(SECRET_KEY, "inspect", token).output
    assert "\x1b" not in piped
    assert f'claim note  "{"word " * 40}"' in piped


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("12h", 43_200), ("7d", 604_800), ("never", None)]
)
def test_a_duration_has_a_unit(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1", "1w", "1 h", "nan", "inf", "1e3", "٣"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        read_duration(text)


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (NOW, "2027-01-15 08:00:00 UTC, 0 seconds ago"),
        (NOW + 1, "2027-01-15 08:00:01 UTC, in 1 second"),
        (NOW + 3_599, "2027-01-15 08:59:59 UTC, in 59 minutes"),
        (NOW - 7_200, "2027-01-15 06:00:00 UTC, 2 hours ago"),
        (NOW - 86_400 * 3, "2027-01-12 08:00:00 UTC, 3 days ago"),
        (NOW * 1_000, "1800000000000, which is no date: seconds since 1970 are expected"),
        (float("nan"), "nan, which is no date: seconds since 1970 are expected"),
        (10**400, f"1{'0' * 39}, which is no date: seconds since 1970 are expected"),
    ],
)
def test_a_time_is_described(timestamp: Any, text: str) -> None:
    assert describe_time(timestamp, NOW) == text
