"""What wrong configurations point to: real servers that cannot be used, and files that hold the wrong thing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.jwks_server import HangingServer, JWKSServer, jwk
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_places import RedisPlaces
from tests.support.redis_rights import documented_rules
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import free_port, redis_server

KEY = ec.generate_private_key(ec.SECP256R1())
PREFIX = "test-check"
PASSWORD = "hunter2-is-no-secret"


def public_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """The public key as text."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@contextlib.contextmanager
def wrong_places(
    folder: Path, places: RedisPlaces, cluster: RedisClusterProcesses, sentinel: RedisSentinel
) -> Iterator[dict[str, str]]:
    """The addresses and paths by their names in the tables of tests."""
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    files = {
        "public": public_pem(KEY),
        "private": private,
        "short": public_pem(rsa.generate_private_key(65537, 1024)),
        "garbage": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    with contextlib.ExitStack() as stack:
        keys, no_keys, page, broken = (
            stack.enter_context(JWKSServer(published))
            for published in ([jwk(KEY, "one")], [{"kty": "oct", "k": "c2VjcmV0"}], [], [])
        )
        page.body = b"<html>"
        broken.status = 503
        hanging = stack.enter_context(HangingServer())
        port = free_port()
        redis = stack.enter_context(redis_server(("port", str(port))))
        evicting = stack.enter_context(redis_server(("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")))
        no_resp3 = stack.enter_context(redis_server(("rename-command", "HELLO ''")))
        rules = documented_rules(PREFIX)
        redis.add_user("app", PASSWORD, *rules)
        redis.add_user("reader", PASSWORD, *(rule for rule in rules if rule != "+xadd"))
        redis.add_user("deaf", PASSWORD, *(rule for rule in rules if not rule.startswith("&")))
        redis.add_user("neighbour", PASSWORD, *documented_rules("other"))
        tls = places("tls").url
        yield {
            **{f"{name}_file": str(folder / name) for name in files},
            "keys": keys.url,
            "no_keys": no_keys.url,
            "page": page.url,
            "broken": broken.url,
            "silent": hanging.url,
            "nothing": f"127.0.0.1:{free_port()}",
            "redis": f"{redis.socket}",
            "redis_port": f"127.0.0.1:{port}",
            "evicting": evicting.url,
            "no_resp3": no_resp3.url,
            "silent_port": hanging.url.split("/")[2],
            "cluster_port": f"127.0.0.1:{cluster.ports[0]}",
            "sentinel_port": f"127.0.0.1:{sentinel.port}",
            "replica_port": f"127.0.0.1:{sentinel.ports[1]}",
            "untrusted": re.sub(r"ssl_ca_certs=[^&]*&?", "", tls),
            **{f"at_{name}": places(name).url for name in ("socket", "valkey", "tls", "sentinel", "cluster")},
        }
