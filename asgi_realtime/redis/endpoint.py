"""One address of a Redis server, with what is needed to log in there."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.link import Argument, LinkLost

Kind = TypeVar("Kind", bound=AbstractConnection)
TLS_OPTIONS = "ssl_ca_certs, ssl_cert_reqs, ssl_certfile and ssl_keyfile"


class Endpoint:
    """An address and the options of connections to it.

    redis-py opens and authenticates each connection: TCP, TLS and Unix sockets, passwords and credential providers.
    Every timeout and retry is given explicitly, because redis-py's defaults differ between its versions.

    Args:
        kind: the class of redis-py that opens connections.
        options: the keyword arguments of that class.
        timeout: seconds that connecting may take, and then each answer of the handshake.

    Raises:
        TypeError: the class does not have one of the options.
        ValueError: it refuses a value.
        redis.RedisError: the same.
    """

    def __init__(self, kind: type[AbstractConnection], options: Mapping[str, Any], *, timeout: float) -> None:
        self._kind = kind
        self._options = {**options, **_explicit(kind, timeout)}
        self._timeout = timeout
        kind(**self._options)  # connects to nothing, but refuses options that it does not have

    def __repr__(self) -> str:
        return f"Endpoint({self})"

    def __str__(self) -> str:
        """The address, without user and password."""
        if issubclass(self._kind, UnixDomainSocketConnection):
            return str(self._options.get("path", ""))
        return f"{self._options.get('host', 'localhost')}:{self._options.get('port', 6379)}"

    @property
    def host(self) -> str:
        """The host's name or address."""
        return str(self._options.get("host", "localhost"))

    def at(self, host: str, port: int) -> Endpoint:
        """Another address, with the same options."""
        return Endpoint(self._kind, {**self._options, "host": host, "port": port}, timeout=self._timeout)

    async def open(self) -> AbstractConnection:
        """Connect and log in. The caller closes the connection with `close`.

        Raises:
            LinkLost: the server cannot be reached.
            ConfigurationError: it refuses the login, has no RESP3, or its certificate is not trusted.
        """
        connection: Any = self._kind(**self._options)
        try:
            async with asyncio.timeout(2 * self._timeout):
                await connection.connect()
        except BaseException as error:
            await close(connection)
            if isinstance(error, OSError | RedisError | TimeoutError):
                raise self._explain(error) from error
            raise
        opened: AbstractConnection = connection
        return opened

    def _explain(self, error: Exception) -> LinkLost | ConfigurationError:
        # redis-py puts what the server replied into an error of the connection.
        if login := _find(error, AuthenticationError):
            return ConfigurationError(
                f"{self} refuses the login ({login}); check the user and the password (in a URL, special characters are"
                " %-escapes)"
            )
        if right := _find(error, NoPermissionError):
            return ConfigurationError(
                f"{self} does not permit what connecting needs ({right});"
                " docs/operations/redis.md lists the commands to permit"
            )
        reply = _find(error, ResponseError)
        if reply is not None and ("HELLO" in str(reply) or "NOPROTO" in str(reply)):
            return ConfigurationError(
                f"{self} does not speak RESP3 ({reply}); use Redis 6.2 or newer, or Valkey, and permit"
                " the command HELLO"
            )
        if untrusted := _find(error, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"the certificate of {self} is not trusted ({untrusted.verify_message}); name the authority with"
                " ssl_ca_certs=FILE"
            )
        return LinkLost(f"cannot connect to {self}: {str(error) or type(error).__name__}")

    async def ask(self, connection: AbstractConnection, *command: Argument) -> Any:
        """Send one command and return its reply. For what precedes a `Link`.

        Raises:
            LinkLost: there is no answer within the timeout.
            redis.ResponseError: the server refuses.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send_command(*command)
                return await connection.read_response()
        except ResponseError:
            raise
        except (OSError, RedisError, TimeoutError) as error:
            raise LinkLost(f"{self} does not answer: {error!r}") from error


async def close(connection: AbstractConnection) -> None:
    """Close a connection at once."""
    await connection.disconnect(nowait=True)


def _explicit(kind: type[AbstractConnection], timeout: float) -> Mapping[str, Any]:
    """The options that must not be redis-py's defaults."""
    options: dict[str, Any] = {
        "protocol": 3,
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
    }
    if "maint_notifications_config" in known_options(kind):
        from redis.maint_notifications import MaintNotificationsConfig

        options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    if issubclass(kind, Connection):
        options["socket_keepalive"] = True
    return options


def known_options(kind: type[AbstractConnection]) -> set[str]:
    """The keyword arguments of a class of connections and of its base classes."""
    return {name for each in kind.__mro__ for name in inspect.signature(vars(each).get("__init__", object)).parameters}


def is_tls(kind: type[AbstractConnection]) -> bool:
    """Whether a class of connections uses TLS."""
    return issubclass(kind, SSLConnection)


E = TypeVar("E", bound=BaseException)


def _find(error: BaseException | None, kind: type[E]) -> E | None:
    """The error of a kind among an error and its causes."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
