"""Configuration by environment variables, which only this module reads, or by a `Settings` object."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.config import Config

from asgi_realtime.auth.keys import (
    HMAC_ALGORITHMS,
    KEY_PAIR_ALGORITHMS,
    MINIMUM_RSA_BITS,
    MINIMUM_SECRET_BYTES,
    algorithms_of,
    is_too_short,
    load_public_key,
    read_pem,
)
from asgi_realtime.auth.origin_patterns import SPECIAL_ORIGINS, read_origin, read_regex
from asgi_realtime.auth.trusted_proxies import read_network
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.limits import Limits
from asgi_realtime.values.field_types import MOST_SECONDS, check_fields, is_finite, is_number
from asgi_realtime.variables import read_fields, variable

logger = logging.getLogger("asgi_realtime")

MINIMUM_TOKEN_BYTES = 16
MOST_SILENCE = 2_147_483.0
"""Seconds. A browser's timer takes at most 2³¹ - 1 ms: one that is longer ends at once."""


def _secret() -> Any:
    """A field that no repr shows."""
    return dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The configuration of one process. Each field states its variable, unit, default and consequence.

    Raises:
        ConfigurationError: for a value that cannot work, with the variable's name.
    """

    dev: bool = False
    """`MEW_DEV`: development mode. If no JWT key is set, a random secret is made, with a warning."""
    jwt_secret: str | None = _secret()
    """`MEW_JWT_SECRET`: shared secret of HS256/384/512 tokens, at least 32 bytes (fewer: a warning)."""
    jwt_public_key: str | None = _secret()
    """`MEW_JWT_PUBLIC_KEY`: PEM public key or certificate (the text, or the path of a file; read once) of RS, PS,
    ES or EdDSA tokens."""
    jwks_url: str | None = None
    """`MEW_JWKS_URL`: the URL of the identity provider's published keys."""
    jwks_cooldown: float = 30.0
    """`MEW_JWKS_COOLDOWN`: seconds between two fetches of the JWKS, however many unknown `kid`s arrive."""
    jwks_timeout: float = 5.0
    """`MEW_JWKS_TIMEOUT`: seconds one fetch of the JWKS may take. After that, logins that wait for it are refused."""
    jwks_ttl: float = 300.0
    """`MEW_JWKS_TTL`: seconds after which the next login starts another fetch of the JWKS. The old keys are used
    until it succeeds."""
    jwt_algorithms: tuple[str, ...] = ()
    """`MEW_JWT_ALGORITHMS`: accepted algorithms, comma-separated. Default: those that fit the configured key."""
    jwt_audience: str | None = None
    """`MEW_JWT_AUDIENCE`: required `aud`. Unset: `aud` is not checked."""
    jwt_issuer: str | None = None
    """`MEW_JWT_ISSUER`: required `iss`. Unset: `iss` is not checked."""
    jwt_user_claim: str = "sub"
    """`MEW_JWT_USER_CLAIM`: the claim that holds the user id."""
    jwt_leeway: float = 0.0
    """`MEW_JWT_LEEWAY`: seconds of clock difference that `exp` and `nbf` may have."""
    revocation_ttl: float = 2_592_000.0
    """`MEW_REVOCATION_TTL`: seconds for which a revocation is kept. Set it longer than your tokens live."""
    admin_secret: str | None = _secret()
    """`MEW_ADMIN_SECRET`: the secret of the Infra gateway. Unset: the gateway refuses everyone."""
    console_secret: str | None = _secret()
    """`MEW_CONSOLE_SECRET`: the secret with which operators log in to a `RealtimeConsole`, at least 16 bytes. Unset:
    the console needs a `secret` or a `check` of its own."""
    cors_origins: tuple[str, ...] = ()
    """`MEW_CORS_ORIGINS`: origins that may use REST and realtime, comma-separated, such as `https://app.example.com`,
    `https://*.example.com`, `http://localhost:*` or `null`; `*`: any, without cookies. Unset: same origin only."""
    cors_origin_regex: str | None = None
    """`MEW_CORS_ORIGIN_REGEX`: a regular expression for more such origins. It must match the whole origin."""
    trusted_proxies: tuple[str, ...] = ()
    """`MEW_TRUSTED_PROXIES`: addresses or networks of proxies, comma-separated, whose `X-Forwarded-Host`, `-Port` and
    `-Proto` decide which origin is the same origin; `*`: those of any peer. Unset: none, and `Host` decides."""
    events_cors_origin: str = "http://localhost:5173"
    """`CORS_ORIGIN`: one more origin, for the Events gateway only. Empty: none."""
    ws_auth_token: str | None = _secret()
    """`WS_AUTH_TOKEN`: a token shared by the clients of the Jobs gateway, at least 16 bytes (fewer: a warning)."""
    ws_allow_demo_token: bool = False
    """`WS_ALLOW_DEMO_TOKEN`: the Jobs gateway accepts the public token `demo-token`. For demonstrations only."""
    socketio_path: str = "/socket.io"
    """`MEW_SOCKETIO_PATH`: the path of Engine.IO."""
    transports: tuple[str, ...] = ("polling", "websocket")
    """`MEW_TRANSPORTS`: Engine.IO transports offered, comma-separated."""
    ping_interval: float = 25.0
    """`MEW_PING_INTERVAL`: seconds between two heartbeats. With `MEW_PING_TIMEOUT`, at most 2147483."""
    ping_timeout: float = 20.0
    """`MEW_PING_TIMEOUT`: seconds a client may take to answer a heartbeat. After that, it is closed.

    Also the time in which a polling client must fetch what was sent before its connection was closed."""
    upgrade_timeout: float = 10.0
    """`MEW_UPGRADE_TIMEOUT`: seconds an upgrade to WebSocket may take. After that, the client stays on polling."""
    presence_grace: float = 5.0
    """`MEW_PRESENCE_GRACE`: seconds a user stays online after the user's last connection ended."""
    node_lease: float = 15.0
    """`MEW_NODE_LEASE`: with Redis, seconds after which a process that no longer answers counts as dead. Its users go
    offline `MEW_PRESENCE_GRACE` seconds later. A process renews its lease three times as often, by one command."""
    publish_timeout: float = 1.0
    """`MEW_PUBLISH_TIMEOUT`: seconds the broker may take to accept a broadcast or answer. Over: `BrokerUnavailable`."""
    host_threads: int = 40
    """`MEW_HOST_THREADS`: threads for your synchronous services, handlers and hooks. When all are busy, calls wait for
    one, at most `MEW_HANDLER_TIMEOUT`. `rooms_of`, which handlers may wait for, has as many others, at most 16."""
    fast_writes: bool = True
    """`MEW_FAST_WRITES`: on uvicorn, read and write the WebSockets of gateways below ASGI."""
    compression: bool = False
    """`MEW_COMPRESSION`: compress messages of 1 KiB or more, once for all recipients (on uvicorn only, not with
    `--ws wsproto`)."""
    history_size: int = 1_000
    """`MEW_HISTORY_SIZE`: publications kept for each room."""
    history_ttl: float = 300.0
    """`MEW_HISTORY_TTL`: seconds a publication is kept."""
    recovery_window: float = 120.0
    """`MEW_RECOVERY_WINDOW`: seconds in which a client that lost its connection may return and get the events that it
    missed. 0: no client can, and none gets positions."""
    redis_url: str | None = _secret()
    """`MEW_REDIS_URL`: the Redis that joins the processes of an application. Unset: this is the only process.

    `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database; or a Sentinel or Cluster, as
    `redis+sentinel://` and `redis+cluster://`."""
    redis_prefix: str = "mew"
    """`MEW_REDIS_PREFIX`: what every key and channel in Redis begins with. Applications that share a Redis need
    different ones."""
    on_broker_down: str = "raise"
    """`MEW_ON_BROKER_DOWN`: what a broadcast does while Redis is away. `raise`: it raises `BrokerUnavailable`, and new
    clients are refused until it is back. `local`: it is delivered to the clients of this process, and published in
    order when Redis is back; new clients are let in. In a Redis Cluster, this concerns only the gateways whose server
    is away."""
    single_process: bool = False
    """`MEW_SINGLE_PROCESS`: without `MEW_REDIS_URL`, start although another process of this app runs on this machine.
    Each process then has only its own clients."""
    shutdown_delay: float = 0.0
    """`MEW_SHUTDOWN_DELAY`: seconds from SIGTERM until clients are closed. All are served until then, and
    `broadcaster.ready` is false, so that a load balancer sends new clients elsewhere. Set it to a little more than the
    time after which the load balancer's health check fails."""
    drain_timeout: float = 5.0
    """`MEW_DRAIN_TIMEOUT`: seconds connections may take to close when the process stops. Half of it is for closing them
    in batches of 100, one every 0.1 s; if that is too short, batches are larger."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    """Bounds on clients: see `Limits`; each field is a variable too."""

    def __post_init__(self) -> None:
        check_fields(self, variable)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if is_number(value) and not is_finite(value):
                raise ConfigurationError(f"{variable(field.name)} must be a finite number")
            if field.type == "float" and value > MOST_SECONDS:
                raise ConfigurationError(f"{variable(field.name)} must be at most {MOST_SECONDS:.0f} seconds")
        if self.ping_interval + self.ping_timeout > MOST_SILENCE:
            raise ConfigurationError(
                f"MEW_PING_INTERVAL and MEW_PING_TIMEOUT must be at most {MOST_SILENCE:.0f} seconds together: "
                "browsers wait no longer"
            )
        if not _PREFIX.fullmatch(self.redis_prefix):
            raise ConfigurationError("MEW_REDIS_PREFIX takes letters, digits, and any of _ . : -, at most 64")
        if self.on_broker_down not in ("raise", "local"):
            raise ConfigurationError("MEW_ON_BROKER_DOWN must be raise or local")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{variable(name)} must be greater than 0")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{variable(name)} must be 0 or more")
        if not re.fullmatch(r"(/[^/?#\s]+)+/?", self.socketio_path):
            raise ConfigurationError("MEW_SOCKETIO_PATH must be a path below the root, such as /socket.io")
        _set(self, "socketio_path", self.socketio_path.rstrip("/"))
        if self.redis_url is not None:
            _set(self, "redis_url", self.redis_url.strip())  # a file with a secret often ends with a line break
        if not self.transports or set(self.transports) - {"polling", "websocket"}:
            raise ConfigurationError("MEW_TRANSPORTS must name polling, websocket, or both")
        if not self.jwt_user_claim:
            raise ConfigurationError("MEW_JWT_USER_CLAIM must name a claim, such as sub")
        self._check_origins()
        self._check_secrets()
        self._check_keys()
        self._check_shared_token()
        if self.console_secret and len(self.console_secret.encode()) < MINIMUM_TOKEN_BYTES:
            raise ConfigurationError(f"MEW_CONSOLE_SECRET must have at least {MINIMUM_TOKEN_BYTES} bytes")
        if self.dev and not self.has_jwt_key:
            logger.warning(
                "MEW_DEV is on and no JWT key is set: a random MEW_JWT_SECRET was made; tokens are valid until this "
                "process ends"
            )
            _set(self, "jwt_secret", secrets.token_urlsafe(64))

    def _check_origins(self) -> None:
        extra = (self.events_cors_origin,) if self.events_cors_origin else ()
        for name, origins in (("cors_origins", self.cors_origins), ("events_cors_origin", extra)):
            for origin in origins:
                if origin not in SPECIAL_ORIGINS:
                    _check_with(read_origin, name, origin)
        if self.cors_origin_regex is not None:
            _check_with(read_regex, "cors_origin_regex", self.cors_origin_regex)
        for peer in self.trusted_proxies:
            if peer != "*":
                _check_with(read_network, "trusted_proxies", peer)

    def _check_secrets(self) -> None:
        for name in ("jwt_secret", "admin_secret", "console_secret", "ws_auth_token"):
            secret: str = getattr(self, name) or ""
            if secret != secret.strip() or (secret[:1] in ("'", '"') and secret[:1] == secret[-1:]):
                logger.warning("the quotes or spaces at the ends of %s are part of it", variable(name))

    def _check_keys(self) -> None:
        keys = [name for name in ("jwt_secret", "jwt_public_key", "jwks_url") if getattr(self, name)]
        if len(keys) > 1:
            raise ConfigurationError(
                f"{' and '.join(map(variable, keys))} are set together; keep only the one tokens are signed with"
            )
        if self.jwt_secret:
            self._check_secret(self.jwt_secret)
        if self.jwt_public_key:
            self._check_public_key(self.jwt_public_key)
        if self.jwks_url:
            _check_keys_url(self.jwks_url)
        # A public key used as an HMAC secret would let anyone sign tokens, so the two families are never mixed.
        allowed = self._fitting_algorithms()
        wrong = [name for name in self.jwt_algorithms if name not in allowed]
        if wrong:
            fitting = f"{variable(keys[0])} takes " if keys else "choose from "
            raise ConfigurationError(f"MEW_JWT_ALGORITHMS: {wrong[0]!r} is not accepted; {fitting}{', '.join(allowed)}")

    def _check_secret(self, secret: str) -> None:
        if "-----BEGIN" in secret:
            raise ConfigurationError("MEW_JWT_SECRET holds a PEM key; a public key belongs into MEW_JWT_PUBLIC_KEY")
        if len(secret.encode()) < MINIMUM_SECRET_BYTES and not self.dev:
            # Not refused, because tokens signed with this secret may be in use already.
            logger.warning(
                "MEW_JWT_SECRET has fewer than %d bytes and can be guessed from one token; "
                'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"',
                MINIMUM_SECRET_BYTES,
            )

    def _check_shared_token(self) -> None:
        token = self.ws_auth_token
        if token == "demo-token":
            raise ConfigurationError(
                "WS_AUTH_TOKEN is demo-token, which is public; for a demonstration set WS_ALLOW_DEMO_TOKEN=true"
            )
        if token and len(token.encode()) < MINIMUM_TOKEN_BYTES and not self.dev:
            logger.warning("WS_AUTH_TOKEN has fewer than %d bytes and can be guessed", MINIMUM_TOKEN_BYTES)
        if self.ws_allow_demo_token and not self.dev:
            logger.warning("WS_ALLOW_DEMO_TOKEN is on: anyone can connect to the Jobs gateway with demo-token")

    def _check_public_key(self, text_or_path: str) -> None:
        try:
            pem = read_pem(text_or_path)
            key = load_public_key(pem)
        except ValueError as error:
            raise ConfigurationError(f"MEW_JWT_PUBLIC_KEY {error}") from None
        if is_too_short(key) and not self.dev:
            raise ConfigurationError(f"MEW_JWT_PUBLIC_KEY must have at least {MINIMUM_RSA_BITS} bits")
        _set(self, "jwt_public_key", pem)  # the text from now on, wherever it came from

    def _fitting_algorithms(self) -> tuple[str, ...]:
        if self.jwt_secret:
            return HMAC_ALGORITHMS
        if self.jwt_public_key:
            return algorithms_of(load_public_key(self.jwt_public_key))
        return KEY_PAIR_ALGORITHMS if self.jwks_url else (*HMAC_ALGORITHMS, *KEY_PAIR_ALGORITHMS)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The JWT algorithms accepted: those configured, else those that fit the key. Never `none`."""
        return self.jwt_algorithms or self._fitting_algorithms()

    @property
    def has_jwt_key(self) -> bool:
        """Whether tokens can be verified at all."""
        return bool(self.jwt_secret or self.jwt_public_key or self.jwks_url)

    def require_jwt_key(self) -> None:
        """Refuse to start without a key to verify tokens with.

        Raises:
            ConfigurationError: naming the variables, one of which must be set.
        """
        if not self.has_jwt_key:
            raise ConfigurationError(
                "no key to verify tokens with: set MEW_JWT_SECRET (the shared secret of HS256 tokens), "
                "MEW_JWT_PUBLIC_KEY (a PEM public key) or MEW_JWKS_URL (your identity provider's keys); "
                "for development, MEW_DEV=true makes a random secret"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read every variable of this class and of `Limits` from the environment (or a mapping).

        An empty variable counts as unset, so that a compose file may pass on what it does not have;
        only an empty `CORS_ORIGIN` means none instead of its default. A variable `MEW_...` that is none of
        them has no effect, and a warning is logged.

        Raises:
            ConfigurationError: naming the variable.
        """
        config = Config(environ=environment() if environ is None else dict(environ))
        _warn_of_unknown(config.environ)
        values = read_fields(config, cls)
        return cls(**values, limits=Limits(**read_fields(config, Limits)))


def started_by_test() -> bool:
    """Whether a test of pytest has started this process, or runs in it."""
    return "PYTEST_CURRENT_TEST" in os.environ


_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_POSITIVE = (
    *("ping_interval", "ping_timeout", "upgrade_timeout", "publish_timeout", "drain_timeout"),
    *("node_lease", "host_threads", "history_size", "history_ttl", "jwks_timeout", "jwks_ttl", "revocation_ttl"),
)
_NOT_NEGATIVE = ("presence_grace", "shutdown_delay", "jwt_leeway", "jwks_cooldown", "recovery_window")


def _set(settings: Settings, field: str, value: str) -> None:
    # A settings object is frozen for its users; this is still its construction.
    object.__setattr__(settings, field, value)


def _check_with(read: Callable[[str], object], field: str, text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        raise ConfigurationError(f"{variable(field)}: {error}") from None


def _check_keys_url(url: str) -> None:
    # No message repeats the URL, and what could make the fetch fail with one that does is refused here.
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError("MEW_JWKS_URL must be an address that starts with https:// or http://")
    if "@" in parts.netloc:
        raise ConfigurationError("MEW_JWKS_URL has a user or a password; key sets are public, so leave them out")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ConfigurationError(
            "MEW_JWKS_URL has a space or a character that is not ASCII; write it as a %-escape, and a host as xn--…"
        )


def environment() -> dict[str, str]:
    """A copy of the environment of this process."""
    return dict(os.environ)


def known_variables() -> list[str]:
    """The names of all variables that `Settings.from_env` reads."""
    fields = [field.name for kind in (Settings, Limits) for field in dataclasses.fields(kind)]
    return [variable(name) for name in fields if name != "limits"]


def unknown_variables(environ: Iterable[str]) -> dict[str, str | None]:
    """The variables `MEW_…` that have no effect, each with the known name that it resembles. Most are misspelt."""
    known = known_variables()
    unknown = (name for name in environ if name.upper().startswith("MEW_") and name not in known)
    return {name: next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None) for name in unknown}


def _warn_of_unknown(environ: Iterable[str]) -> None:
    found = [f"{name} (did you mean {near}?)" if near else name for name, near in unknown_variables(environ).items()]
    if found:
        logger.warning("unknown environment variables, which asgi_realtime ignores: %s", ", ".join(found))
