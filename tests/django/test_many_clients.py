"""Many clients with sessions, whose handlers use the ORM, while views in threads send to all of them.

The short form has 100 clients. `make test-faults` runs the long form with 500: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.support.crowd.client import LightClient
from tests.support.django_server import django_server
from tests.support.waiting import until

CLIENTS = 500 if os.environ.get("FAULTS") == "long" else 100
VIEWS = 10
AT_ONCE = 50


async def test_many_clients_and_views_in_threads(folder: Path) -> None:
    with django_server(folder, variables={"MEW_CONNECTIONS_PER_USER": "1000"}) as django:
        async with django.log_in("bob") as bob:
            events: list[list[list[object]]] = [[] for _ in range(CLIENTS)]
            clients = [LightClient("", each.append, cookie=bob.cookie) for each in events]
            for first in range(0, CLIENTS, AT_ONCE):
                group = clients[first : first + AT_ONCE]
                assert all(await asyncio.gather(*[client.connect(django.port) for client in group])), group[0].outcome
            counting = asyncio.gather(*[client.called("count") for client in clients])
            posts = [bob.http.post("/members", data={"room": f"room {number}"}) for number in range(VIEWS)]
            answers = await asyncio.gather(*posts, bob.http.get("/admin/"), bob.http.get("/static/admin/css/base.css"))
            assert [answer.status_code for answer in answers] == [200] * (VIEWS + 2)
            assert {answer.json()["delivered"] for answer in answers[:VIEWS]} == {CLIENTS}
            assert await counting == [[0]] * CLIENTS
            await until(lambda: all(len(each) == VIEWS for each in events))
            expected = {f"room {number}" for number in range(VIEWS)}
            for client, each in zip(clients, events, strict=True):
                assert {event[1]["room"] for event in each if isinstance(event[1], dict)} == expected
                assert await client.called("rooms") == [["everybody", *sorted(expected)]]
            for client in clients:
                client.drop()
            await asyncio.gather(*[client.ended for client in clients])
            await until(lambda: django.database_files == 0)
        assert "SynchronousOnlyOperation" not in django.output
        assert "Traceback" not in django.output, django.output
