"""The pytest plugin, in runs of pytest with anyio's plugin, with pytest-asyncio, and with pytest-xdist."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.pytest_run import run_pytest

pytestmark = pytest.mark.timeout(300)
"""Seconds. Each test starts Python and imports everything again, several times with pytest-xdist."""

CONFTEST = """
import pytest
from asgi_realtime import Settings
from tests.support.shop_app import SECRET, make_app

app = make_app(Settings(jwt_secret=SECRET, presence_grace=30.0))

@pytest.fixture
def realtime_app():
    return app
"""

USER_FIXTURE = """
{fixture}
async def ada(realtime_connect):
    return await realtime_connect("ada")
"""

SHOP = """
import asyncio
import pytest
from asgi_realtime import BrokerUnavailable
from asgi_realtime.testing import ConnectionRefused
from tests.support.shop_app import current_user

{mark}

async def test_every_fixture(realtime_app, realtime_client, realtime_connect, realtime_broadcasts, realtime_clock, ada):
    realtime_app.dependency_overrides[current_user] = lambda: "bob"
    assert (await realtime_client.http.post("/orders", params={{"item": "tea"}})).json() is True
    assert (await ada.expect("ORDER_CREATE")).data == {{"item": "tea", "by": "bob"}}
    await realtime_broadcasts.expect("ORDER_CREATE", room="orders", data={{"item": "tea", "by": "bob"}})
    with realtime_client.broker_down(), pytest.raises(BrokerUnavailable):
        await realtime_client.broadcaster.broadcast_to_all("A")
    bob = await realtime_connect("bob", "/ticker")
    await bob.expect("auth_success")
    ticker = await realtime_connect(gateway="/ticker", token=realtime_client.token("eve"))
    assert ticker.connection.identity.user_id == "eve"
    await ada.close()
    await realtime_connect("carl")
    await realtime_clock.advance(31)
    await realtime_broadcasts.expect("LEFT", room="orders", data="ada")
    with pytest.raises(ConnectionRefused):
        await realtime_connect(token="forged")

async def test_overrides_of_the_test_before_are_gone(realtime_app, realtime_client):
    assert realtime_app.dependency_overrides == {{}}
    assert (await realtime_client.http.post("/orders", params={{"item": "tea"}})).status_code == 401

async def test_it_is_the_loop_of_the_test_and_time_passes(realtime_client, ada):
    realtime_client.broadcaster  # runs
    assert (await asyncio.wait_for(ada.call("wait", 0.001), 10)) == "waited"
"""

BACKEND = """
@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"
"""

MODULE_LOOP = """
import asyncio
import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")
loops = []

@pytest_asyncio.fixture(loop_scope="module")
async def ada(realtime_connect):
    return await realtime_connect("ada")

@pytest.mark.parametrize("number", [1, 2])
async def test_apps_one_after_the_other_on_one_loop(number, ada, realtime_broadcasts):
    loops.append(asyncio.get_running_loop())
    assert loops[0] is loops[-1]
    assert await ada.call("note", "hello") == 5
    assert len(realtime_broadcasts.all) == 1
"""


def test_with_pytest_asyncio_in_strict_mode_on_each_scope_of_loops_and_beside_anyio(tmp_path: Path) -> None:
    files = {
        "conftest.py": CONFTEST + BACKEND,
        "test_strict.py": SHOP.format(
            mark="import pytest_asyncio\npytestmark = pytest.mark.asyncio\n"
            + USER_FIXTURE.format(fixture="@pytest_asyncio.fixture")
        ),
        "test_module.py": MODULE_LOOP,
        "test_session.py": MODULE_LOOP.replace('"module"', '"session"'),
        "test_anyio.py": SHOP.format(
            mark="pytestmark = pytest.mark.anyio\n" + USER_FIXTURE.format(fixture="@pytest.fixture")
        ),
    }
    run = run_pytest(tmp_path, files, "-o", "asyncio_mode=strict", pytest_asyncio=True)
    assert run.counts == {"passed": 3 + 2 + 2 + 3}, run.text


def test_with_pytest_asyncio_in_auto_mode_on_one_loop_for_all_tests(tmp_path: Path) -> None:
    files = {
        "conftest.py": CONFTEST + USER_FIXTURE.format(fixture="@pytest.fixture"),
        "test_shop.py": SHOP.format(mark=""),
    }
    options = ["asyncio_mode=auto", "asyncio_default_test_loop_scope=session"]
    options.append("asyncio_default_fixture_loop_scope=session")
    run = run_pytest(tmp_path, files, *(word for option in options for word in ("-o", option)), pytest_asyncio=True)
    assert run.counts == {"passed": 3}, run.text


def test_overrides_of_an_app_that_is_wrapped_are_undone_too(tmp_path: Path) -> None:
    test = """
import pytest
from shop import current_user, host

pytestmark = pytest.mark.anyio

async def test_one(realtime_client):
    host.dependency_overrides[current_user] = lambda: "bob"
    assert (await realtime_client.http.get("/me")).json() == "bob"

async def test_another(realtime_client):
    host.dependency_overrides = {current_user: lambda: "eve"}
    assert (await realtime_client.http.get("/me")).json() == "eve"

async def test_none(realtime_client):
    assert (await realtime_client.http.get("/me")).json() == "ann"
"""
    shop = """
from typing import Annotated
from fastapi import Depends, FastAPI
from asgi_realtime import RealtimeMiddleware, Settings

host = FastAPI()

def current_user():
    return "ann"

@host.get("/me")
async def me(user: Annotated[str, Depends(current_user)]) -> str:
    return user

app = RealtimeMiddleware(host, settings=Settings(jwt_secret="only for tests: thirty-two bytes!"))
"""
    conftest = "import pytest\nfrom shop import app\n\n@pytest.fixture\ndef realtime_app():\n    return app\n"
    files = {"conftest.py": conftest + BACKEND, "shop.py": shop, "test_overrides.py": test}
    run = run_pytest(tmp_path, files, python_path=[ROOT, tmp_path])
    assert run.counts == {"passed": 3}, run.text


def test_four_processes_of_xdist_each_have_their_app_without_the_redis_of_the_environment(tmp_path: Path) -> None:
    test = """
import os
from pathlib import Path
import pytest

@pytest.mark.anyio
@pytest.mark.parametrize("number", range(16))
async def test_one(number, ada, realtime_broadcasts, realtime_client):
    Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
    assert await ada.call("note", "x" * number) == number
    assert len(realtime_client.connections("ada")) == 1
    assert [each.data for each in realtime_broadcasts.all] == ["x" * number]

def test_of_something_else():
    assert os.environ["MEW_REDIS_URL"] == "redis://127.0.0.1:1/0"
"""
    files = {
        "conftest.py": CONFTEST.replace("Settings(jwt_secret=SECRET, presence_grace=30.0)", "")
        + BACKEND
        + USER_FIXTURE.format(fixture="@pytest.fixture"),
        "test_one.py": test,
    }
    environ = {"MEW_REDIS_URL": "redis://127.0.0.1:1/0", "MEW_JWT_SECRET": "only for tests: thirty-two bytes!"}
    run = run_pytest(tmp_path, files, "--numprocesses", "4", environ=environ)
    assert run.counts == {"passed": 17}, run.text
    assert sorted(path.name for path in tmp_path.glob("gw?")) == ["gw0", "gw1", "gw2", "gw3"]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    files = {
        "test_no_app.py": """
import pytest
pytestmark = pytest.mark.anyio
@pytest.fixture
def anyio_backend(): return "asyncio"
async def test_it(realtime_client): ...
""",
        "test_no_async.py": """
import pytest
from conftest import shop
@pytest.fixture
def realtime_app(): return shop
def test_it(realtime_client): ...
""",
        "test_trio.py": """
import pytest
from conftest import shop
pytestmark = pytest.mark.anyio
@pytest.fixture
def anyio_backend(): return "trio"
@pytest.fixture
def realtime_app(): return shop
async def test_it(realtime_client): ...
""",
        "test_redis.py": """
import pytest
from asgi_realtime import Settings
from tests.support.shop_app import SECRET, make_app
pytestmark = pytest.mark.anyio
@pytest.fixture
def anyio_backend(): return "asyncio"
@pytest.fixture
def realtime_app(): return make_app(Settings(jwt_secret=SECRET, redis_url="redis://127.0.0.1:1/0"))
async def test_it(realtime_client): ...
""",
        "conftest.py": "from tests.support.shop_app import make_app\nshop = make_app()\n",
    }
    run = run_pytest(tmp_path, files)
    assert run.counts == {"error": 4}, run.text
    assert "the fixture `realtime_app` is the app under test, and is not defined; write into conftest.py:" in run.text
    assert "need an `async def` test that anyio's plugin or pytest-asyncio runs" in run.text
    assert "asgi_realtime runs on asyncio, and this test on trio; write into conftest.py:" in run.text
    assert "ConfigurationError: this app uses Redis, and this test runs without it" in run.text


def test_the_wheel_has_the_plugin_and_a_run_that_does_not_use_it_does_not_import_the_package(tmp_path: Path) -> None:
    """Its entry point makes pytest load it. Other tests run as without it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    site, tests = tmp_path / "site", tmp_path / "tests"
    zipfile.ZipFile(wheel).extractall(site)
    tests.mkdir()
    test = """
import sys

def test_nothing_is_loaded(request):
    assert {name for name in sys.modules if name.startswith("asgi_realtime")} == {
        "asgi_realtime", "asgi_realtime.pytest_plugin"
    }
    assert not {"starlette", "msgspec", "redis", "jwt", "socketio", "engineio", "websockets"} & {*sys.modules}
    assert not [name for name in request.fixturenames if "realtime" in name]

def test_the_fixtures_are_there(request, pytestconfig):
    assert request.getfixturevalue("realtime_clock").__class__.__name__ == "Clock"
    import asgi_realtime
    assert asgi_realtime.__file__.startswith(%r)
    assert not [line for line in pytestconfig.getini("markers") if "realtime" in line]
"""
    files = {"test_it.py": test % str(site)}
    run = run_pytest(tests, files, "--strict-markers", python_path=[site], pytest_asyncio=True)
    assert run.counts == {"passed": 2}, run.text
