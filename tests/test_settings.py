"""Settings: how variables are read, which values are refused, and that secrets are not shown."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from asgi_realtime.auth.keys import HMAC_ALGORITHMS, KEY_PAIR_ALGORITHMS, RSA_ALGORITHMS
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.limits import Limits
from asgi_realtime.settings import Settings
from asgi_realtime.variables import variable

SECRET = "an-hmac-secret-that-is-long-enough-for-HS256"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()


def private_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_every_kind_of_variable_is_read() -> None:
    settings = Settings.from_env(
        {
            "MEW_DEV": "Yes",
            "MEW_JWT_SECRET": SECRET,
            "MEW_JWT_ALGORITHMS": "HS256, HS512",
            "MEW_CORS_ORIGINS": " https://app.example.com , http://localhost:3000/,",
            "CORS_ORIGIN": "http://localhost:4000",
            "MEW_PING_INTERVAL": "12.5",
            "MEW_HISTORY_SIZE": "50",
            "MEW_SOCKETIO_PATH": "/ws/socket.io",
            "MEW_OUTBOX_BYTES": "2048",
            "MEW_EVENT_RATE": "1.5",
            "PATH": "/usr/bin",
        }
    )
    assert settings == Settings(
        dev=True,
        jwt_secret=SECRET,
        jwt_algorithms=("HS256", "HS512"),
        cors_origins=("https://app.example.com", "http://localhost:3000/"),
        events_cors_origin="http://localhost:4000",
        ping_interval=12.5,
        history_size=50,
        socketio_path="/ws/socket.io",
        limits=Limits(outbox_bytes=2048, event_rate=1.5),
    )


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_PING_TIMEOUT", "7")
    assert Settings.from_env().ping_timeout == 7.0


def test_every_field_can_be_set_by_a_variable_of_its_own() -> None:
    fields = [*dataclasses.fields(Settings), *dataclasses.fields(Limits)]
    names = [variable(field.name) for field in fields if field.name != "limits"]
    assert len(names) == len(set(names))
    # An empty variable counts as unset, as compose files pass them on.
    assert Settings.from_env(dict.fromkeys(names, "")) == Settings(events_cors_origin="")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEW_DEV", "perhaps"),
        ("WS_ALLOW_DEMO_TOKEN", "perhaps"),
        ("MEW_PING_INTERVAL", "often"),
        ("MEW_PING_INTERVAL", "0"),
        ("MEW_PING_INTERVAL", "-1"),
        ("MEW_PING_INTERVAL", "nan"),
        ("MEW_PING_INTERVAL", "inf"),
        ("MEW_PING_INTERVAL", "1e307"),
        ("MEW_PING_INTERVAL", "2147484"),
        ("MEW_REVOCATION_TTL", "1e17"),
        ("MEW_ONCE_TTL", "1e17"),
        ("MEW_HANDLER_TIMEOUT", "1e17"),
        ("MEW_PRESENCE_GRACE", "-0.1"),
        ("MEW_PRESENCE_GRACE", "inf"),
        ("MEW_JWT_LEEWAY", "nan"),
        ("MEW_HISTORY_SIZE", "1.5"),
        ("MEW_HISTORY_SIZE", "0"),
        ("MEW_HISTORY_SIZE", "1" * 5000),
        ("MEW_ON_BROKER_DOWN", "queue"),
        ("MEW_REDIS_PREFIX", "a b"),
        ("MEW_REDIS_PREFIX", "{mew}"),
        ("MEW_REDIS_PREFIX", "m" * 65),
        ("MEW_OUTBOX_BYTES", "1MB"),
        ("MEW_OUTBOX_BYTES", "0"),
        ("MEW_EVENT_RATE", "inf"),
        ("MEW_SOCKETIO_PATH", "/"),
        ("MEW_SOCKETIO_PATH", "socket.io"),
        ("MEW_SOCKETIO_PATH", "/socket.io?EIO=4"),
        ("MEW_TRANSPORTS", "carrier-pigeon"),
        ("MEW_TRANSPORTS", ","),
        ("MEW_CORS_ORIGINS", "app.example.com"),
        ("MEW_CORS_ORIGINS", "https://app.example.com/path"),
        ("MEW_CORS_ORIGINS", "https://pr-*.example.com"),
        ("MEW_CORS_ORIGIN_REGEX", "https://[a-z"),
        ("MEW_CORS_ORIGIN_REGEX", "(a+)+b"),
        ("CORS_ORIGIN", "localhost"),
        ("MEW_JWT_ALGORITHMS", "none"),
        ("MEW_JWT_ALGORITHMS", "HS256,ROT13"),
        ("MEW_JWKS_URL", "id.example.com/keys"),
        ("MEW_JWKS_URL", "file:///etc/passwd"),
        ("MEW_JWKS_URL", "https://id.example.com:x/"),
        ("MEW_JWT_PUBLIC_KEY", "/no/such/file.pem"),
        ("MEW_JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----"),
    ],
)
def test_a_wrong_value_fails_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}\b"):
        Settings.from_env({name: value})


@pytest.mark.parametrize(
    "name", ["MEW_PING_INTERVAL", "MEW_HISTORY_SIZE", "MEW_DEV", "MEW_JWT_PUBLIC_KEY", "MEW_JWKS_URL"]
)
def test_a_secret_in_the_wrong_variable_is_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({name: "hunter2"})
    assert "hunter2" not in str(caught.value)
    # A traceback does not show the original error, which contains the value.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_secrets_are_in_no_repr() -> None:
    settings = Settings(jwt_secret=SECRET, admin_secret="hunter2", console_secret="the console's secret")
    assert SECRET not in repr(settings)
    assert "hunter2" not in repr(settings) and "the console's" not in repr(settings)


def test_text_is_trimmed_but_a_secret_is_kept_exactly() -> None:
    environ = {
        "MEW_JWT_SECRET": f" {SECRET}\n",
        "MEW_ADMIN_SECRET": " x ",
        "MEW_JWT_ISSUER": " https://id.example.com\n",
        "MEW_REDIS_URL": " redis://localhost:6379/0\n",
    }
    settings = Settings.from_env(environ)
    assert settings.jwt_secret == f" {SECRET}\n"
    assert settings.admin_secret == " x "
    assert settings.jwt_issuer == "https://id.example.com"
    assert settings.redis_url == "redis://localhost:6379/0"


def test_times_have_a_bound_and_rates_have_none() -> None:
    longest = Settings(ping_interval=2_147_463, ping_timeout=20, revocation_ttl=1e9, limits=Limits(event_rate=1e12))
    assert (longest.revocation_ttl, longest.limits.event_rate) == (1e9, 1e12)
    for wrong in ({"ping_timeout": 2_147_459}, {"revocation_ttl": 10**9 + 1}):
        with pytest.raises(ConfigurationError, match="at most"):
            Settings(**wrong)  # type: ignore[arg-type]  # by name


def test_the_path_ends_without_a_slash() -> None:
    assert Settings(socketio_path="/ws/socket.io/").socketio_path == "/ws/socket.io"


def test_one_string_in_the_place_of_a_tuple_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGINS must be a tuple"):
        Settings(cors_origins="https://app.example.com")  # type: ignore[arg-type]


def test_only_one_key_may_be_set() -> None:
    with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET and MEW_JWKS_URL"):
        Settings(jwt_secret=SECRET, jwks_url="https://id.example.com/keys")


def test_the_accepted_algorithms_fit_the_key() -> None:
    assert Settings(jwt_secret=SECRET).algorithms == HMAC_ALGORITHMS
    assert Settings(jwt_public_key=public_pem(RSA_KEY)).algorithms == RSA_ALGORITHMS
    assert Settings(jwt_public_key=public_pem(EC_KEY)).algorithms == ("ES256",)
    assert Settings(jwks_url="https://id.example.com/keys").algorithms == KEY_PAIR_ALGORITHMS
    assert Settings(jwt_secret=SECRET, jwt_algorithms=("HS512",)).algorithms == ("HS512",)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://reader:hunter2@id.example.com/keys", "a user or a password"),
        ("https://hunter2@id.example.com/keys", "a user or a password"),
        ("https://id.example.com/keys?token=hunter2 and more", "write it as a %-escape"),
        ("https://id.example.com/keys?token=hunter2\x00", "write it as a %-escape"),
        ("https://id.example.com/schlüssel?token=hunter2", "write it as a %-escape"),
        ("https://id.example.com:hunter2/keys", "must be an address"),
    ],
)
def test_an_address_of_keys_that_cannot_be_fetched_is_refused_and_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        Settings(jwks_url=url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        ({"jwt_secret": SECRET}, "RS256"),
        ({"jwt_public_key": public_pem(RSA_KEY)}, "HS256"),
        ({"jwt_public_key": public_pem(RSA_KEY)}, "ES256"),
        ({"jwt_public_key": public_pem(EC_KEY)}, "ES384"),
        ({"jwks_url": "https://id.example.com/keys"}, "HS256"),
    ],
)
def test_an_algorithm_that_does_not_fit_the_key_is_refused(key: dict[str, str], algorithm: str) -> None:
    environ = {variable(name): value for name, value in key.items()}
    with pytest.raises(ConfigurationError, match="MEW_JWT_ALGORITHMS"):
        Settings.from_env(environ | {"MEW_JWT_ALGORITHMS": algorithm})


def test_a_public_key_is_taken_as_text_with_escapes_or_from_a_file(tmp_path: Path) -> None:
    pem = public_pem(RSA_KEY)
    file = tmp_path / "public.pem"
    file.write_text(pem)
    for form in (pem, pem.replace("\n", "\\n"), str(file)):
        assert Settings.from_env({"MEW_JWT_PUBLIC_KEY": form}).jwt_public_key == pem


def test_a_key_in_the_wrong_variable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET holds a PEM key"):
        Settings(jwt_secret=public_pem(RSA_KEY))
    with pytest.raises(ConfigurationError, match="MEW_JWT_PUBLIC_KEY holds a private key"):
        Settings(jwt_public_key=private_pem(RSA_KEY))


def test_weak_keys_are_for_development_only() -> None:
    short = public_pem(rsa.generate_private_key(65537, 1024))
    with pytest.raises(ConfigurationError, match="MEW_JWT_PUBLIC_KEY must have at least 2048 bits"):
        Settings(jwt_public_key=short)
    assert Settings(dev=True, jwt_public_key=short).has_jwt_key


def test_a_short_secret_is_warned_about_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert Settings(jwt_secret="hunter2" + "é" * 12).has_jwt_key
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "MEW_JWT_SECRET has fewer than 32 bytes" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    assert Settings(jwt_secret="é" * 16).has_jwt_key
    assert Settings(dev=True, jwt_secret="short").jwt_secret == "short"
    assert not caplog.records


def test_a_missing_key_is_reported_with_the_variables_to_set() -> None:
    settings = Settings.from_env({})
    assert not settings.has_jwt_key
    with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET.*MEW_JWT_PUBLIC_KEY.*MEW_JWKS_URL.*MEW_DEV=true"):
        settings.require_jwt_key()


def test_settings_that_open_jobs_to_every_client_log_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_env({"WS_AUTH_TOKEN": "hunter2", "WS_ALLOW_DEMO_TOKEN": "true"})
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "WS_AUTH_TOKEN has fewer than 16 bytes" in caplog.text
    assert "WS_ALLOW_DEMO_TOKEN is on" in caplog.text
    assert "hunter2" not in caplog.text + repr(Settings(ws_auth_token="hunter2", dev=True))
    caplog.clear()
    Settings(ws_auth_token="a token of sixteen bytes or more")
    assert not caplog.records


def test_development_generates_a_secret_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asgi_realtime"):
        settings = Settings.from_env({"MEW_DEV": "true"})
    settings.require_jwt_key()
    assert settings.jwt_secret and len(settings.jwt_secret) >= 64
    assert settings.jwt_secret not in caplog.text
    assert "MEW_JWT_SECRET" in caplog.text
    assert Settings(dev=True).jwt_secret != settings.jwt_secret
    assert dataclasses.replace(settings, ping_interval=1).jwt_secret == settings.jwt_secret


def test_development_keeps_a_key_that_is_set(caplog: pytest.LogCaptureFixture) -> None:
    assert Settings.from_env({"MEW_DEV": "true", "MEW_JWT_SECRET": SECRET}).jwt_secret == SECRET
    assert not caplog.records
