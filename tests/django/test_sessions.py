"""Users by Django's session: who is let in, from which page, and when a connection ends."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asgi_realtime import Settings, create_token
from tests.support.django_server import CHANGES, MODELS, PATIENCE, DjangoServer, django_server, run
from tests.support.redis_server import RedisProcess, redis_server

SECRET = "a secret of at least thirty-two bytes"


async def closing(socket: websockets.ClientConnection) -> int | None:
    """Read until the connection ends, and return the code."""
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await socket.recv()
    return socket.close_code


async def test_a_session_is_enough(django: DjangoServer) -> None:
    async with django.log_in("ann") as ann, ann.notes() as notes:
        hello = await notes.expect("hello")
    assert hello == {"name": "ann", "claims": ["email", "iat", "is_staff", "jti", "username"]}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_origin_cannot_use_the_cookie(django: DjangoServer, origin: str) -> None:
    async with django.log_in("ann") as ann:
        with pytest.raises(InvalidStatus) as refused:
            async with ann.notes(origin):
                pass
    assert refused.value.response.status_code == 403


async def test_an_open_policy_does_not_give_cookies_to_any_page(folder: Path) -> None:
    origins = "*,https://listed.example"
    with django_server(folder, variables={"MEW_CORS_ORIGINS": origins}) as django:
        async with django.log_in("ann") as ann:
            async with ann.notes("https://evil.example") as evil:
                assert await closing(evil.socket) == 1008
            async with ann.notes("https://listed.example") as listed:
                await listed.expect("hello")


async def test_a_host_outside_of_allowed_hosts_is_refused(django: DjangoServer) -> None:
    async with django.log_in("ann") as ann:
        url = f"{django.url.replace('http', 'ws')}/notes"
        headers = {"Cookie": ann.cookie, "Origin": f"http://rebound.example:{django.port}"}
        async with websockets.connect(
            url.replace("127.0.0.1", "rebound.example"), host="127.0.0.1", port=django.port, additional_headers=headers
        ) as socket:
            assert await closing(socket) == 1008
    assert "the host is not in ALLOWED_HOSTS" in django.output


@pytest.mark.parametrize("cookie", ["", "sessionid=", "sessionid=forged", "other=1"])
async def test_without_a_valid_session_no_client_is_let_in(django: DjangoServer, cookie: str) -> None:
    url = f"{django.url.replace('http', 'ws')}/notes"
    async with websockets.connect(url, additional_headers={"Cookie": cookie}) as socket:
        assert await closing(socket) == 1008


async def test_a_token_decides_where_there_is_one(django: DjangoServer) -> None:
    url = f"{django.url.replace('http', 'ws')}/notes"
    token = create_token("2", Settings(jwt_secret=SECRET))
    async with django.log_in("ann") as ann:
        async with websockets.connect(f"{url}?token={token}", additional_headers={"Cookie": ann.cookie}) as socket:
            assert '"bob"' in str([await socket.recv() for _ in range(2)])
        async with websockets.connect(f"{url}?token=x", additional_headers={"Cookie": ann.cookie}) as socket:
            assert await closing(socket) == 1008


async def test_a_logout_ends_the_connections_of_its_session_only(django: DjangoServer) -> None:
    async with django.log_in("ann") as here, django.log_in("ann") as elsewhere:
        async with here.notes() as first, here.notes() as second, elsewhere.notes() as other:
            for notes in (first, second, other):
                await notes.expect("hello")
            cookie = here.cookie
            assert (await here.http.post("/log-out")).is_success
            assert [await closing(first.socket), await closing(second.socket)] == [1008, 1008]
            await other.send("write", "still here")
            assert (await other.expect("written"))["id"]
        url = f"{django.url.replace('http', 'ws')}/notes"
        async with websockets.connect(url, additional_headers={"Cookie": cookie}) as again:
            assert await closing(again) == 1008


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_account_ends_its_connections(django: DjangoServer, change: str, model: str) -> None:
    name = f"{change} {model}"
    async with django.log_in(name) as here, django.log_in(name) as elsewhere, django.log_in("bob") as bob:
        async with here.notes() as notes, elsewhere.notes() as other, bob.notes() as bobs:
            for each in (notes, other, bobs):
                await each.expect("hello")
            assert (await here.http.post("/account", data={"model": model, "change": "email"})).is_success
            await notes.send("write", "an address is no reason")
            await notes.expect("written")
            assert (await here.http.post("/account", data={"model": model, "change": change})).is_success
            assert [await closing(notes.socket), await closing(other.socket)] == [1008, 1008]
            await bobs.send("write", "another user")
            await bobs.expect("written")
        async with elsewhere.notes() as again:
            assert await closing(again.socket) == 1008


def test_models_without_users_are_deleted_by_one_query(folder: Path) -> None:
    """Django deletes row by row where a receiver is connected. An editor is deleted as a user too, so one is enough."""
    code = (
        "from django.contrib.auth.models import User; from django.db.models.signals import post_delete\n"
        "from tests.support.django_project.models import *\n"
        "class Late(User):\n"
        "    class Meta: proxy, app_label = True, 'django_project'\n"
        "print([post_delete.has_listeners(model) for model in (User, Deputy, Late, Editor, Note)])"
    )
    assert "[True, True, True, False, False]" in run(folder, "shell", "--command", code)


async def test_a_session_of_an_earlier_secret_key_stays_valid(folder: Path) -> None:
    with django_server(folder) as django:
        async with django.log_in("ann") as ann:
            cookies = ann.http.cookies
    rotated = {"SECRET_KEY": "another secret of thirty-two bytes", "SECRET_KEY_FALLBACKS": [SECRET]}
    with django_server(folder, settings=rotated) as django:
        async with django.log_in("bob") as client:
            client.http.cookies = cookies
            for _ in range(2):  # the first connection must not change the session
                async with client.notes() as notes:
                    assert (await notes.expect("hello"))["name"] == "ann"


async def test_sessions_in_signed_cookies_work(folder: Path) -> None:
    settings = {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}
    with django_server(folder, settings=settings) as django:
        async with django.log_in("ann") as ann, ann.notes() as notes:
            await notes.expect("hello")
            assert (await ann.http.post("/log-out")).is_success
            assert await closing(notes.socket) == 1008


async def test_a_connection_ends_with_its_session(django: DjangoServer) -> None:
    async with django.log_in("ann", seconds=3) as ann, ann.notes() as notes:
        await notes.expect("hello")
        assert await closing(notes.socket) == 1008


async def test_logouts_are_kept_in_redis_for_a_limited_time(folder: Path, redis_process: RedisProcess) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    variables = {"MEW_REDIS_URL": redis_process.url, "MEW_REDIS_PREFIX": prefix, "MEW_REVOCATION_TTL": "60"}
    with django_server(folder, variables=variables) as django, redis_process.client() as redis:
        for count in (1, 2):
            async with django.log_in("ann") as ann:
                assert (await ann.http.post("/log-out")).is_success
            [key] = redis.keys(f"{prefix}:*:x")
            assert redis.zcard(key) == count
            assert 0 < redis.pttl(key) <= 60_000


async def test_logouts_without_redis_succeed_and_are_logged_once(folder: Path) -> None:
    with redis_server() as redis, django_server(folder, variables={"MEW_REDIS_URL": redis.url}) as django:
        async with django.log_in("ann") as first, django.log_in("ann") as second:
            redis.kill()
            for ann in (first, second):
                assert (await ann.http.post("/log-out")).is_success
        assert django.output.count("connections of a user who logged out") == 1
        assert "Traceback" not in django.output


def test_a_program_without_clients_may_change_accounts(folder: Path) -> None:
    code = "from django.contrib.auth.models import User; User.objects.get(username='ann').delete(); print('done')"
    assert "done" in run(folder, "shell", "--command", code)
