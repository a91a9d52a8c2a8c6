"""URLs of Redis: what they mean, and that no message repeats a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.server import RedisServer


@pytest.mark.parametrize(
    ("url", "shown", "sharded"),
    [
        ("redis://host", "host:6379", False),
        ("redis://user:secret@host:7000/3", "host:7000", False),
        ("redis://[::1]:7000", "::1:7000", False),
        ("rediss://:secret@host:7000", "host:7000", False),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock", False),
        ("unix://user:secret@/run/redis.sock", "/run/redis.sock", False),
        (
            "redis+sentinel://user:secret@one:1,two,[::1]:3/main/2?sentinel_password=secret&sentinel_username=user",
            "'main' of the Sentinels at one:1, two:26379, ::1:3",
            False,
        ),
        ("rediss+sentinel://one/main?ssl_cert_reqs=none", "'main' of the Sentinels at one:26379", False),
        ("redis+cluster://user:secret@one:1,two", "the cluster of one:1, two:6379", True),
        ("rediss+cluster://one:1/0", "the cluster of one:1", True),
    ],
)
def test_a_url_names_servers_and_its_password_is_not_shown(url: str, shown: str, sharded: bool) -> None:
    server = RedisServer(url)
    assert repr(server) == f"RedisServer({shown})"
    assert server.sharded is sharded


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with one of redis://"),
        ("localhost:6379", "must begin with"),
        ("http://user:s3cret@host", "must begin with"),
        ("redis://", "the host is missing"),
        ("redis://user:s3cret@", "the host is missing"),
        ("redis://:s3cret/x@host", "%-escapes"),
        ("redis://user:1?s3cret=x@host", "%-escapes"),
        ("redis://user:1#s3cret", "%-escapes"),
        ("redis://user:s3cret", "port is not a number"),
        ("redis://host:0", "port is not a number"),
        ("redis://host:65536", "port is not a number"),
        ("redis://host:٣", "port is not a number"),
        ("redis://host/s3cret", "number of the database"),
        ("redis://one,two", "several hosts"),
        ("redis://host?shard=1", "no option 'shard'"),
        ("redis://host?ssl_ca_certs=/etc/ca.pem", "need rediss://"),
        ("redis://host?socket_timeout=s3cret", "cannot be read"),
        ("rediss://host?ssl_ca_certs=/no/such/file.pem", "there is no file '/no/such/file.pem'"),
        ("rediss://host?ssl_cert_reqs=perhaps", "value that is not possible"),
        ("unix://", "path of the socket is missing"),
        ("redis+sentinel://host", "service is missing"),
        ("redis+sentinel://host/main/x", "number of the database"),
        ("redis+cluster://host/1", "only database 0"),
        ("redis+cluster://host,", "the host is missing"),
    ],
)
def test_a_wrong_url_is_refused_with_the_variable_and_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RedisServer(url)
    text = str(refused.value)
    assert text.startswith("MEW_REDIS_URL: ")
    assert message in text
    assert "s3cret" not in text
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_certificates_named_in_a_url_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    RedisServer(f"rediss://host?ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={file}&ssl_check_hostname=false")
