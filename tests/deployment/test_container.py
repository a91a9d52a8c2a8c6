"""The Dockerfile and the compose file of docs/operations/deployment.md, as far as they run without a container engine.

The short form runs with the suite, with the environment of the tests. `make test-faults` runs the long form
(`FAULTS=long`), which installs the wheel into the environment of the image first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from asgi_realtime import Settings
from asgi_realtime.settings import unknown_variables
from tests.support.dockerfile import Image, instructions
from tests.support.node_client import Node
from tests.support.paths import DEPLOYMENT, DOCS, ROOT
from tests.support.redis_server import RedisProcess, free_port
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
DOCKERFILE: Final = DEPLOYMENT / "Dockerfile"
COMPOSE: Final[Any] = yaml.safe_load((DEPLOYMENT / "compose.yaml").read_text("utf-8"))
SERVICES: Final[Any] = COMPOSE["services"]
VALUES: Final = {
    "DATABASE_PASSWORD": secrets.token_hex(16),
    "MEW_JWT_SECRET": secrets.token_hex(32),
    "MEW_DEV": "true",
}
"""What a file `.env` beside the compose file sets."""


def environment(service: str) -> dict[str, str]:
    """The variables of a service, with the values of the file `.env`."""
    found: Mapping[str, str] = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{(\w+)[^}]*\}", lambda match: VALUES[match[1]], text) for name, text in found.items()}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image. The packages of the tests are found, and nothing is downloaded."""
    root = tmp_path_factory.mktemp("image")
    packages = sysconfig.get_path("purelib")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": packages if LONG else f"{root}/build:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    made = Image(root, ROOT, environ)
    made.build(DOCKERFILE, run=LONG)
    return made


@contextlib.asynccontextmanager
async def container(image: Image, port: int, environ: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command of the image on another port."""
    words = [{"0.0.0.0": "127.0.0.1", "8000": str(port)}.get(word, word) for word in image.command]
    process = await asyncio.create_subprocess_exec(*image.start(words), cwd=image.folder, env=environ)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(http: httpx.AsyncClient) -> bool:
    """Whether the server answers."""
    try:
        return (await http.get("/readyz")).is_success
    except httpx.ConnectError:
        return False


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


async def test_the_image_serves_mew_and_stops_in_time(
    image: Image, node: Node, redis_process: RedisProcess, tmp_path: Path
) -> None:
    port = free_port()
    environ = image.environ | environment("app1")
    environ |= {
        "DATABASE_URL": f"sqlite:///{tmp_path}/mew.db",
        "MEW_REDIS_URL": redis_process.url,
        "MEW_REDIS_PREFIX": f"test-{secrets.token_hex(4)}",
    }
    healthy = image.start([word.replace("8000", str(port)) for word in image.health])

    async def is_healthy() -> bool:
        process = await asyncio.create_subprocess_exec(*healthy, env=environ, stderr=subprocess.DEVNULL)
        return await process.wait() == 0

    before = files(image.folder)
    tables = image.start(SERVICES["tables"]["command"])
    creating = await asyncio.create_subprocess_exec(*tables, cwd=image.folder, env=environ)
    assert await creating.wait() == 0
    assert not await is_healthy()
    async with container(image, port, environ) as process:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url) as http:
            await until(functools.partial(answers, http))
            assert await is_healthy()
            login = (await http.post("/dev/token", json={"userId": "alice"})).json()
        client = await node.connect(url, auth={"token": login["token"]})
        await client.expect("ready")
        async with httpx.AsyncClient(base_url=url) as http:
            metrics = (await http.get("/metrics")).text
        # What the autoscaler of kubernetes.yaml counts.
        assert 'realtime_connections{gateway="/"} 1.0\n' in metrics
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(seconds(SERVICES["app1"]["stop_grace_period"])):
            assert await process.wait() in (0, -signal.SIGTERM)
        assert await client.disconnection() == "transport close"
    assert files(image.folder) == before  # it is read-only in compose.yaml


def seconds(text: str) -> float:
    """A duration of a compose file, such as `15s`."""
    assert text.endswith("s")
    return float(text.removesuffix("s"))


def test_the_package_is_the_one_of_the_image(image: Image) -> None:
    where = image.start(["python", "-c", "import asgi_realtime; print(asgi_realtime.__file__)"])
    printed = subprocess.run(
        where, env=image.environ, cwd=image.folder, capture_output=True, text=True, check=True
    ).stdout
    assert image.folder.parents[1] / ("srv" if LONG else "build") in Path(printed).parents


def test_the_image_has_two_stages_and_no_root() -> None:
    lines = instructions(DOCKERFILE)
    assert [line.name for line in lines].count("FROM") == 2
    [user] = [line.text for line in lines if line.name == "USER"]
    assert int(user) > 0
    # The last stage copies no source of the package, only what was installed.
    last = [line.text for line in lines[max(number for number, line in enumerate(lines) if line.name == "FROM") :]]
    assert not any(text.startswith("asgi_realtime") for text in last)


def test_what_the_dockerfile_copies_is_sent_to_the_builder() -> None:
    allowed = {line[1:] for line in (DEPLOYMENT / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {
        source
        for line in instructions(DOCKERFILE)
        if line.name == "COPY" and not line.text.startswith("--from")
        for source in line.text.split()[:-1]
    }
    assert copied == allowed


@pytest.mark.parametrize("service", ["app1", "app2", "tables"])
def test_the_variables_of_the_compose_file_have_an_effect(service: str) -> None:
    environ = environment(service)
    assert unknown_variables(environ) == {}
    settings = Settings.from_env(environ)
    assert seconds(SERVICES[service]["stop_grace_period"]) >= settings.shutdown_delay + settings.drain_timeout + 5
    page = (DOCS / "operations/deployment.md").read_text("utf-8")
    assert all(f"{name}=" in page for name in VALUES)


def test_nginx_knows_the_addresses_of_the_processes() -> None:
    nginx = (DEPLOYMENT / "nginx.conf").read_text("utf-8")
    [pool] = COMPOSE["networks"]["default"]["ipam"]["config"]
    network = ipaddress.ip_network(pool["subnet"])
    addresses = [SERVICES[name]["networks"]["default"]["ipv4_address"] for name in ("app1", "app2")]
    assert re.findall(r"server ([\d.]+):8000", nginx) == addresses
    assert all(ipaddress.ip_address(address) in network for address in addresses)
    assert environment("app1")["FORWARDED_ALLOW_IPS"] == str(network)
    assert SERVICES["nginx"]["ports"] == ["151:151"] and "listen 151;" in nginx
