"""Reads a Redis URL. No message repeats what may be a password."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import RedisError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.cluster_nodes import ClusterNodes
from asgi_realtime.redis.discovery import Discovery, FixedServer
from asgi_realtime.redis.endpoint import Endpoint, known_options
from asgi_realtime.redis.sentinel import SentinelService

SCHEMES: Final = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
ESCAPES: Final = "write special characters of the user and the password as %-escapes"


def read_url(url: str, *, timeout: float) -> Discovery:
    """How to find the server that a URL names.

    Raises:
        ConfigurationError: the URL cannot be used. It says why, without user or password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or f"{scheme}://" not in SCHEMES:
        raise _wrong(f"the URL must begin with one of {', '.join(SCHEMES)}")
    if scheme == "unix":
        return FixedServer(_endpoint("unix", rest, timeout))
    authority, slash, path = _split(rest)
    login, at, addresses = authority.rpartition("@")
    transport, _, topology = scheme.partition("+")
    default_port = SENTINEL_PORT if topology == "sentinel" else REDIS_PORT
    hosts = [_host_and_port(address, default_port) for address in addresses.split(",")]
    if topology == "sentinel":
        path, question, query = path.partition("?")
        service, _, database = path.partition("/")
        if not service:
            raise _wrong("the Sentinels' name for the service is missing: redis+sentinel://host:port,host:port/SERVICE")
        query, sentinel_login = _sentinel_login(query)
        template = _endpoint(transport, f"{login}{at}{hosts[0]}/{database}{question}{query}", timeout)
        sentinels = [_endpoint(transport, f"{sentinel_login}{host}/{question}{query}", timeout) for host in hosts]
        return SentinelService(sentinels, unquote(service), template)
    if topology == "cluster":
        if path.partition("?")[0] not in ("", "0"):
            raise _wrong("a Redis Cluster has only database 0")
        return ClusterNodes([_endpoint(transport, f"{login}{at}{host}{slash}{path}", timeout) for host in hosts])
    if len(hosts) > 1:
        raise _wrong("several hosts are for redis+sentinel:// and redis+cluster:// only")
    return FixedServer(_endpoint(transport, f"{login}{at}{hosts[0]}{slash}{path}", timeout))


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, the slash, and what follows."""
    end = next((place for place, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, path = rest[:end], rest[end:]
    if "@" in path or "#" in path:
        raise _wrong(ESCAPES)  # otherwise part of a password is taken for a host
    if path.startswith("/"):
        return authority, "/", path[1:]
    return authority, "/", path


def _host_and_port(address: str, default: int) -> str:
    if address.startswith("["):
        host, bracket, port = address.partition("]")
        host += bracket
    else:
        host, colon, port = address.partition(":")
        port = colon + port
    if not host.strip("[]"):
        raise _wrong("the host is missing, as in redis://host:6379/0")
    if not port:
        return f"{host}:{default}"
    number = port[1:]
    if not (port[0] == ":" and number.isascii() and number.isdecimal() and 0 < int(number) < 65_536):
        raise _wrong(f"the port is not a number from 1 to 65535; {ESCAPES}")
    return f"{host}:{number}"


def _sentinel_login(query: str) -> tuple[str, str]:
    """The query without the login at the Sentinels, and that login as a part of a URL."""
    kept, found = [], {"sentinel_username": "", "sentinel_password": ""}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in found:
            found[name] = value.replace("+", "%20")
        else:
            kept.append(part)
    login = ":".join(found.values())
    return "&".join(kept), "" if login == ":" else login + "@"


def _endpoint(transport: str, rest: str, timeout: float) -> Endpoint:
    url = f"{transport}://{rest}"
    _check_query(transport, url)
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except (ValueError, RedisError):
        raise _wrong(f"the URL cannot be read; {ESCAPES}") from None
    kind = options.pop("connection_class", Connection)
    if transport == "unix" and not options.get("path"):
        raise _wrong("the path of the socket is missing, as in unix:///run/redis/redis.sock")
    if transport == "rediss":
        # redis-py's default differs between its versions.
        options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs", "required") != "none")
    try:
        return Endpoint(kind, options, timeout=timeout)
    except (TypeError, ValueError, RedisError) as error:
        # These options have no secrets, and the user and the password are not checked.
        raise _wrong(f"an option has a value that is not possible ({type(error).__name__})") from None


KINDS: Final[Mapping[str, type[AbstractConnection]]] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}
FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path")


def _check_query(transport: str, url: str) -> None:
    """Check that redis-py has the options, and that the files exist."""
    parts = urlsplit(url)
    database = unquote(parts.path).strip("/")
    if transport != "unix" and database and not (database.isascii() and database.isdecimal()):
        raise _wrong("the path is the number of the database, as in redis://host:6379/0")
    known = known_options(KINDS[transport])
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known or name in ("self", "kwargs"):
            hint = "; options of TLS need rediss://" if name.startswith("ssl_") else ""
            raise _wrong(f"redis-py has no option {name!r} for {transport}://{hint}")
        if name in FILES and not os.path.exists(value):
            raise _wrong(f"{name}: there is no file {value!r}")


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(what)
