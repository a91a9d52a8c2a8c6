"""The example's REST API: responses, permissions, refusals."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from asgi_realtime import Settings, create_token
from examples.fastapi_app.app import create_app
from examples.fastapi_app.permissions import NOTHING, Override, Permission, in_channel
from tests.support.mew_app import SETTINGS, Mew, make_app
from tests.support.redis_server import RedisProcess


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    app = make_app(f"sqlite:///{tmp_path}/mew.db")
    async with LifespanManager(app):
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://mew") as client:
        yield client


@pytest.fixture
async def mew(http: httpx.AsyncClient) -> Mew:
    mew = Mew(http)
    await mew.prepare()
    return mew


async def test_health_needs_no_token(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await http.get(path)).json() == {"status": "ok"}


async def test_the_chat_page_is_served_at_the_root(http: httpx.AsyncClient) -> None:
    response = await http.get("/")
    assert response.headers["content-type"].startswith("text/html")


async def test_a_login_for_development_creates_the_user(http: httpx.AsyncClient) -> None:
    token = (await http.post("/dev/token", json={"userId": "erin"})).json()["token"]
    me = await http.get("/users/me", headers={"authorization": f"Bearer {token}"})
    assert me.json()["id"] == "erin"
    assert "erin" in [user["id"] for user in (await http.get("/dev/users")).json()]


@pytest.mark.parametrize("user_id", ["", "me", "a/b", "a\nb", "x" * 129, 1, None])
async def test_a_login_needs_an_id_that_can_be_kept(http: httpx.AsyncClient, user_id: object) -> None:
    assert (await http.post("/dev/token", json={"userId": user_id})).status_code == 422


async def test_a_login_is_for_development_only(tmp_path: Path) -> None:
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    app = create_app(settings, f"sqlite:///{tmp_path}/production.db")
    async with LifespanManager(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as http:
        for response in (await http.post("/dev/token", json={"userId": "erin"}), await http.get("/dev/users")):
            assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
        token = create_token("erin", settings)
        servers = await http.get("/servers/discover", headers={"authorization": f"Bearer {token}"})
        assert servers.json() == [], "the sample data are only for development too"


async def test_an_empty_database_is_filled_once(tmp_path: Path) -> None:
    for _ in range(2):
        app = make_app(f"sqlite:///{tmp_path}/seeded.db")
        async with LifespanManager(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://mew") as http:
                alice = Mew(http).alice
                [server] = await alice.get("/servers")
                channels = await alice.get(f"/servers/{server['id']}/channels")
                assert [channel["name"] for channel in channels][:2] == ["welcome", "general"]
                assert await alice.get(f"/channels/{channels[0]['id']}/messages")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"Basic {create_token('alice', SETTINGS)}"},
        {"authorization": f"Bearer {create_token('alice', SETTINGS, expires_in=-10)}"},
        {"cookie": "mew_access_token=nonsense"},
    ],
)
async def test_without_a_valid_token_no_data_is_returned(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await http.get("/servers", headers=headers)
    assert (response.status_code, response.json()) == (401, {"detail": "invalid credentials"})


async def test_the_token_may_come_in_the_cookie(http: httpx.AsyncClient) -> None:
    headers = {"cookie": f"mew_access_token={create_token('alice', SETTINGS)}"}
    assert (await http.get("/users/me", headers=headers)).json()["id"] == "alice"


async def test_a_foreign_page_cannot_write_with_the_cookie(http: httpx.AsyncClient) -> None:
    headers = {"cookie": f"mew_access_token={create_token('alice', SETTINGS)}"}
    foreign = await http.post("/servers", json={"name": "x"}, headers=headers | {"origin": "http://elsewhere"})
    assert foreign.status_code == 403
    own = await http.post("/servers", json={"name": "x"}, headers=headers | {"origin": "http://mew"})
    assert own.status_code == 201


async def test_every_error_is_json(app: FastAPI, http: httpx.AsyncClient) -> None:
    @app.get("/test/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    assert (await http.get("/nowhere")).json() == {"detail": "Not Found"}
    assert (await http.put("/healthz")).json() == {"detail": "Method Not Allowed"}
    assert (await http.get("/test/broken")).json() == {"detail": "internal error"}


MESSAGES = [
    (b"{", 422),
    (b"[]", 422),
    (b"\xff", 400),
    (b"{}", 422),
    (b'{"content": " "}', 422),
    (b'{"content": 1}', 422),
    (b'{"content": "\\ud800"}', 422),
    (b'{"content": "\\u0000"}', 422),
    (b'{"content": "%s"}' % (b"x" * 4001), 422),
    (b'{"attachments": ["\\ud800"]}', 422),
    (b'{"attachments": %s}' % str(list(range(11))).encode(), 422),
    (b'{"type": "custom", "payload": {"n": NaN}}', 422),
    (b'{"type": "custom", "payload": []}', 422),
    (b'{"type": "custom", "payload": {"text": "%s"}}' % (b"x" * 20_000), 422),
    (b'{"content": "x", "referencedMessageId": "none"}', 422),
    (b'{"content": "x", "referencedMessageId": "\\u0000"}', 422),
    (b'{"content": "%s"}' % (b"x" * 70_000), 413),
    (b'{"payload": %s}' % (b"[" * 20_000), 400),
    (b'{"content": null, "attachments": [{"url": "/cat.png"}], "payload": null}', 201),
    (b'{"type": "custom"}', 201),
]


async def test_messages_over_a_limit_are_refused(mew: Mew, http: httpx.AsyncClient) -> None:
    headers = {"authorization": f"Bearer {mew.bob.token}", "content-type": "application/json"}
    for body, status in MESSAGES:
        response = await http.post(f"/channels/{mew.general}/messages", content=body, headers=headers)
        assert response.status_code == status, body
        assert response.json()
    accepted = [status for _, status in MESSAGES if status == 201]
    assert len(await mew.bob.get(f"/channels/{mew.general}/messages")) == len(accepted)


@pytest.mark.parametrize("path", ["/channels/a%00b", "/users?search=%00"])
async def test_no_url_reaches_the_database_with_a_nul(mew: Mew, path: str) -> None:
    assert await mew.alice.status("GET", path) == 400


async def test_null_does_not_clear_what_must_be_there(mew: Mew) -> None:
    assert await mew.alice.status("PATCH", f"/servers/{mew.server}", {"name": None}) == 422
    assert await mew.alice.status("PATCH", f"/channels/{mew.general}", {"name": None}) == 422


async def test_a_message_is_returned_as_stored(mew: Mew) -> None:
    first = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    new = {
        "content": "Look",
        "attachments": [{"url": "/cat.png", "size": 3}],
        "referencedMessageId": first["id"],
        "payload": {"mood": ["happy"]},
        "plainText": "look",
    }
    message = await mew.carol.post(f"/servers/{mew.server}/channels/{mew.general}/messages", new)
    assert new.items() <= message.items()
    assert message["author"]["username"] == message["authorId"] == "carol"
    assert (message["channelId"], message["serverId"]) == (mew.general, mew.server)
    assert (message["reactions"], message["editedAt"], message["retracted"]) == ([], None, False)
    assert await mew.bob.get(f"/messages/{message['id']}") == message
    assert await mew.bob.get(f"/channels/{mew.general}/messages") == [first, message]


async def test_messages_are_paginated(mew: Mew) -> None:
    path = f"/channels/{mew.general}/messages"
    ids = [(await mew.bob.post(path, {"content": str(number)}))["id"] for number in range(5)]

    async def page(query: str) -> list[str]:
        return [message["id"] for message in await mew.bob.get(path + query)]

    assert await page("?limit=2") == ids[3:]
    assert await page(f"?limit=2&before={ids[3]}") == ids[1:3]
    assert await page(f"?before={ids[1]}") == ids[:1]
    assert await mew.bob.status("GET", path + "?limit=101") == 422


async def test_a_channel_has_its_server_in_the_path_or_is_not_found(mew: Mew) -> None:
    other = await mew.alice.post("/servers", {"name": "Dogs"})
    assert (
        await mew.alice.status("POST", f"/servers/{other['id']}/channels/{mew.general}/messages", {"content": "x"})
        == 404
    )


async def test_only_the_author_edits_and_retracts(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    path = f"/messages/{message['id']}"
    assert await mew.alice.status("PATCH", path, {"content": "Wuff"}) == 403
    assert await mew.carol.status("DELETE", path) == 403
    edited = await mew.bob.patch(path, {"content": "Purr"})
    assert edited["content"] == "Purr" and edited["editedAt"]
    await mew.carol.put(f"{path}/reactions/{quote('👍')}")
    retracted = await mew.bob.delete(path)
    assert (retracted["retracted"], retracted["content"], retracted["reactions"]) == (True, "", [])
    assert await mew.bob.status("PATCH", path, {"content": "again"}) == 409
    assert await mew.bob.status("PUT", f"{path}/reactions/x") == 409


async def test_a_moderator_can_retract_messages_of_others(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Wuff"})
    await _give_role(mew, "carol", ["MANAGE_MESSAGES"])
    assert (await mew.carol.delete(f"/messages/{message['id']}"))["retracted"]


async def test_reactions_are_grouped_and_bounded(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    path = f"/messages/{message['id']}/reactions"
    await mew.bob.put(f"{path}/{quote('👩‍🚀')}")
    await mew.carol.put(f"{path}/{quote('❤️')}")
    message = await mew.alice.put(f"{path}/{quote('👩‍🚀')}")
    assert message["reactions"] == [
        {"emoji": "👩‍🚀", "userIds": ["bob", "alice"]},
        {"emoji": "❤️", "userIds": ["carol"]},
    ]
    for number in range(18):
        await mew.bob.put(f"{path}/{number}")
    assert await mew.bob.status("PUT", f"{path}/more") == 409
    assert await mew.bob.status("PUT", f"{path}/{'x' * 65}") == 422


async def test_a_channel_the_user_may_not_view_is_not_found(mew: Mew) -> None:
    secret = await mew.bob.post(f"/channels/{mew.private}/messages", {"content": "psst"})
    for person in (mew.carol, mew.dave):
        assert await person.status("GET", f"/channels/{mew.private}") == 404
        assert await person.status("GET", f"/channels/{mew.private}/messages") == 404
        assert await person.status("POST", f"/channels/{mew.private}/messages", {"content": "x"}) == 404
        assert await person.status("DELETE", f"/channels/{mew.private}") == 404
        assert await person.status("GET", f"/messages/{secret['id']}") == 404
        assert await person.status("PUT", f"/messages/{secret['id']}/reactions/x") == 404
    assert [channel["name"] for channel in await mew.carol.get(f"/servers/{mew.server}/channels")] == ["general"]
    assert mew.private not in (await mew.carol.get(f"/servers/{mew.server}/permissions"))["channels"]
    for path in ("", "/channels", "/members", "/roles", "/categories", "/stickers", "/permissions"):
        assert await mew.dave.status("GET", f"/servers/{mew.server}{path}") == 404


FOR_MANAGERS: list[tuple[str, str, object]] = [
    ("PATCH", "/servers/{server}", {"name": "Mine"}),
    ("DELETE", "/servers/{server}", None),
    ("POST", "/servers/{server}/members", {"userId": "dave"}),
    ("DELETE", "/servers/{server}/members/carol", None),
    ("POST", "/servers/{server}/roles", {"name": "Boss"}),
    ("PATCH", "/servers/{server}/roles/{server}", {"permissions": ["KICK_MEMBERS"]}),
    ("POST", "/servers/{server}/channels", {"name": "mine"}),
    ("POST", "/servers/{server}/categories", {"name": "mine"}),
    ("POST", "/servers/{server}/stickers", {"name": "mine", "imageUrl": "/x.png"}),
    ("PATCH", "/channels/{general}", {"name": "mine"}),
    ("DELETE", "/channels/{general}", None),
    ("GET", "/channels/{general}/permissions", None),
    ("PUT", "/channels/{general}/permissions/users/bob", {"allow": ["MANAGE_CHANNELS"]}),
]


async def test_a_member_without_rights_cannot_manage(mew: Mew) -> None:
    for method, template, body in FOR_MANAGERS:
        path = template.format(server=mew.server, general=mew.general)
        assert await mew.bob.status(method, path, body) == 403, f"{method} {template}"


async def test_members_may_be_silenced_in_a_channel(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    await mew.alice.put(f"/channels/{mew.general}/permissions/users/bob", {"deny": ["SEND_MESSAGES", "ADD_REACTIONS"]})
    assert await mew.bob.status("POST", f"/channels/{mew.general}/messages", {"content": "x"}) == 403
    assert await mew.bob.status("PATCH", f"/messages/{message['id']}", {"content": "x"}) == 403
    assert await mew.bob.status("PUT", f"/messages/{message['id']}/reactions/x") == 403
    await mew.alice.delete(f"/channels/{mew.general}/permissions/users/bob")
    await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Purr"})


async def test_a_user_cannot_grant_rights_it_does_not_have(mew: Mew) -> None:
    role = await _give_role(mew, "bob", ["MANAGE_ROLES"])
    strong = await mew.alice.post(f"/servers/{mew.server}/roles", {"name": "Strong", "permissions": ["KICK_MEMBERS"]})
    roles = f"/servers/{mew.server}/roles"
    assert await mew.bob.status("POST", roles, {"name": "x", "permissions": ["KICK_MEMBERS"]}) == 403
    assert await mew.bob.status("PATCH", f"{roles}/{role}", {"permissions": ["MANAGE_ROLES", "KICK_MEMBERS"]}) == 403
    assert await mew.bob.status("DELETE", f"{roles}/{strong['id']}") == 403
    assert await mew.bob.status("PUT", f"/servers/{mew.server}/members/bob/roles/{strong['id']}") == 403
    override = f"/channels/{mew.general}/permissions/users/carol"
    assert await mew.bob.status("PUT", override, {"allow": ["MANAGE_CHANNELS"]}) == 403
    await mew.alice.put(override, {"deny": ["MANAGE_CHANNELS"]})
    assert await mew.bob.status("DELETE", override) == 403
    assert await mew.bob.status("PUT", override, {"deny": ["SEND_MESSAGES", "MANAGE_CHANNELS"]}) == 200


async def test_a_user_cannot_kick_a_higher_role(mew: Mew) -> None:
    await _give_role(mew, "bob", ["KICK_MEMBERS"])
    await _give_role(mew, "carol", ["KICK_MEMBERS", "MANAGE_SERVER"])
    members = f"/servers/{mew.server}/members"
    assert await mew.bob.status("DELETE", f"{members}/alice") == 403
    assert await mew.bob.status("DELETE", f"{members}/carol") == 403
    assert await mew.bob.status("DELETE", f"{members}/dave") == 404
    assert await mew.carol.delete(f"{members}/bob") == {"serverId": mew.server, "userId": "bob"}


async def test_a_returning_member_starts_without_roles(mew: Mew) -> None:
    await _give_role(mew, "bob", ["KICK_MEMBERS"])
    members = f"/servers/{mew.server}/members"
    await mew.bob.delete(f"{members}/bob")
    assert (await mew.bob.post(members))["roleIds"] == []
    assert await mew.bob.status("GET", f"/channels/{mew.private}") == 404


async def test_the_owner_cannot_leave_the_server(mew: Mew) -> None:
    assert await mew.alice.status("DELETE", f"/servers/{mew.server}/members/alice") == 409


async def test_a_user_joins_a_discovered_server_once(mew: Mew) -> None:
    members = f"/servers/{mew.server}/members"
    assert mew.server in [server["id"] for server in await mew.dave.get("/servers/discover")]
    assert await mew.dave.status("POST", members, {"userId": "alice"}) == 404
    assert await mew.dave.status("POST", members) == 201
    assert await mew.dave.status("POST", members, {}) == 200
    assert await mew.alice.status("POST", members, {"userId": "unknown"}) == 404
    assert await mew.dave.status("POST", "/servers/none/members") == 404
    ids = [member["userId"] for member in await mew.dave.get(members)]
    assert ids == ["alice", "bob", "carol", "dave"]


async def test_a_direct_message_channel_is_one_for_two(mew: Mew) -> None:
    responses = await asyncio.gather(
        *(mew.bob.request("POST", "/users/carol/dm") for _ in range(3)),
        *(mew.carol.request("POST", "/users/bob/dm") for _ in range(3)),
    )
    assert sorted(response.status_code for response in responses) == [200] * 5 + [201]
    assert len({response.json()["id"] for response in responses}) == 1
    [channel] = await mew.carol.get("/dms")
    assert [user["id"] for user in channel["recipients"]] == ["bob", "carol"]
    assert await mew.bob.get(f"/channels/{channel['id']}") == channel
    assert await mew.alice.status("GET", f"/channels/{channel['id']}/messages") == 404
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert await mew.bob.status(method, f"/channels/{channel['id']}", body) == 404
    assert await mew.bob.status("POST", "/users/bob/dm") == 422
    assert await mew.bob.status("POST", "/users/nobody/dm") == 404


async def test_a_category_belongs_to_its_server(mew: Mew) -> None:
    other = await mew.alice.post("/servers", {"name": "Dogs"})
    category = await mew.alice.post(f"/servers/{other['id']}/categories", {"name": "Bones"})
    channel = {"name": "x", "categoryId": category["id"]}
    assert await mew.alice.status("POST", f"/servers/{mew.server}/channels", channel) == 422
    made = await mew.alice.post(f"/servers/{other['id']}/channels", channel)
    await mew.alice.delete(f"/categories/{category['id']}")
    assert (await mew.alice.get(f"/channels/{made['id']}"))["categoryId"] is None


async def test_deleting_a_server_takes_everything_along(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    await mew.carol.put(f"/messages/{message['id']}/reactions/x")
    await _give_role(mew, "bob", ["KICK_MEMBERS"])
    await mew.alice.post(f"/servers/{mew.server}/stickers", {"name": "Cat", "imageUrl": "/cat.png"})
    await mew.alice.post(f"/servers/{mew.server}/categories", {"name": "Cats"})
    assert await mew.alice.delete(f"/servers/{mew.server}") == {"serverId": mew.server}
    for path in (f"/servers/{mew.server}", f"/channels/{mew.general}", f"/messages/{message['id']}"):
        assert await mew.alice.status("GET", path) == 404


async def test_simultaneous_first_requests_of_a_user_all_succeed(http: httpx.AsyncClient) -> None:
    headers = {"authorization": f"Bearer {create_token('erin', SETTINGS)}"}
    answers = await asyncio.gather(*(http.get("/users/me", headers=headers) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8


async def test_a_redis_that_hangs_holds_no_connections_to_the_database(
    redis_process: RedisProcess, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, redis_url=redis_process.url, redis_prefix="held", publish_timeout=10.0)
    app = create_app(settings, f"sqlite:///{tmp_path}/mew.db")
    async with LifespanManager(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as http:
        mew = Mew(http)
        await mew.prepare()
        redis_process.freeze()
        try:
            reading = [asyncio.create_task(mew.alice.get(f"/channels/{mew.general}/messages")) for _ in range(30)]
            for _ in range(20):  # the first may get a connection of the pool, which has 15, before the readers
                await mew.bob.get("/users/me")
            assert not any(task.done() for task in reading)
        finally:
            redis_process.thaw()
        await asyncio.gather(*reading)


async def test_the_configuration_of_a_bot_can_be_written_and_read(mew: Mew) -> None:
    path = "/infra/bots/weather/bot-1/config"
    assert await mew.alice.status("GET", path) == 404
    assert (await mew.alice.post(path, {"city": "Oslo"}))["config"] == {"city": "Oslo"}
    await mew.bob.post(path, {"city": "Rome"})
    assert (await mew.alice.get(path))["config"] == {"city": "Rome"}


def test_specific_overrides_take_precedence_over_general_ones() -> None:
    view, send, pin = Permission.VIEW_CHANNEL, Permission.SEND_MESSAGES, Permission.MANAGE_MESSAGES

    def permitted(*overrides: Override) -> Permission:
        return in_channel(view | send, overrides, default_role_id="all", role_ids=["a", "b"], user_id="bob")

    assert permitted() == view | send
    assert permitted(Override("role", "all", NOTHING, send)) == view
    assert permitted(Override("role", "all", NOTHING, send), Override("role", "a", send, NOTHING)) == view | send
    assert permitted(Override("role", "a", send, NOTHING), Override("role", "b", pin, send)) == view | send | pin
    assert permitted(Override("user", "bob", NOTHING, send), Override("role", "a", send, NOTHING)) == view
    assert permitted(Override("role", "c", pin, view), Override("user", "carol", pin, view)) == view | send
    assert permitted(Override("user", "all", NOTHING, view), Override("role", "bob", NOTHING, view)) == view | send
    assert permitted(Override("role", "all", NOTHING, view), Override("role", "a", pin, NOTHING)) == NOTHING


async def _give_role(mew: Mew, user_id: str, permissions: list[str]) -> Any:
    role = await mew.alice.post(f"/servers/{mew.server}/roles", {"name": "Role", "permissions": permissions})
    await mew.alice.put(f"/servers/{mew.server}/members/{user_id}/roles/{role['id']}")
    return role["id"]
