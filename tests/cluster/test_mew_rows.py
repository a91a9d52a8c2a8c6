"""Mew and Infra (docs/reference/protocols.md, section 1) across nodes: each row whose effect reaches other connections.

The steps are the tests of `tests/wire/test_example_events.py`. Here the host's routes run on one node that serves no
clients. Alice and Carol use npm's client on a second node; Bob and Dave use python-socketio's on a third.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster import mew_steps
from tests.cluster.rows import Case, Step, Table, across_nodes, cases, one_connection, problems
from tests.support.mew_nodes import MewNodes, mew_nodes
from tests.support.redis_server import RedisProcess
from tests.support.waiting import no_task_left
from tests.wire import test_example_events as steps

_HANDSHAKE = "a handshake is decided by the node that it reaches"

ROWS: Table = {
    "a client sends": {
        "`message/create`": across_nodes(
            steps.test_a_message_by_socket_is_saved_and_sent_to_its_channel, events=("MESSAGE_CREATE",)
        ),
        "`channel/follow`": across_nodes(
            steps.test_a_channel_is_followed_from_the_position_of_its_messages, events=("MESSAGE_CREATE",)
        ),
    },
    "the server sends": {
        "`MESSAGE_CREATE`": across_nodes(
            steps.test_a_message_by_rest_is_sent_to_its_channel, steps.test_direct_messages_arrive_once
        ),
        "`MESSAGE_UPDATE`": across_nodes(
            steps.test_an_edited_or_retracted_message_is_sent_to_its_channel, steps.test_direct_messages_arrive_once
        ),
        "`MESSAGE_REACTION_ADD`": across_nodes(steps.test_changed_reactions_are_sent_to_the_channel),
        "`CHANNEL_UPDATE`": across_nodes(steps.test_a_created_or_renamed_channel_is_sent_to_the_server),
        "`CHANNEL_DELETE`": across_nodes(steps.test_a_deleted_channel_is_sent_to_the_server_and_its_room_emptied),
        "`CATEGORY_UPDATE`": across_nodes(steps.test_changed_categories_are_sent_to_the_server),
        "`STICKER_CREATE`": across_nodes(steps.test_changed_stickers_are_sent_to_the_server),
        "`DM_CHANNEL_CREATE`": across_nodes(steps.test_direct_messages_arrive_once),
        "`SERVER_UPDATE`": across_nodes(steps.test_a_renamed_server_is_sent_to_its_members),
        "`SERVER_DELETE`": across_nodes(steps.test_a_deleted_server_is_sent_to_its_members_and_its_rooms_emptied),
        "`SERVER_KICK`": across_nodes(steps.test_a_kicked_member_gets_server_kick_and_nothing_more),
        "`MEMBER_JOIN`": across_nodes(
            steps.test_a_member_that_joins_is_sent_to_the_server, steps.test_the_creator_of_a_server_joins_it
        ),
        "`MEMBER_LEAVE`": across_nodes(
            steps.test_a_member_that_leaves_is_sent_to_the_remaining_members,
            steps.test_a_kicked_member_gets_server_kick_and_nothing_more,
        ),
        "`PERMISSIONS_UPDATE`": across_nodes(
            steps.test_changed_roles_are_sent_to_the_server_and_take_effect,
            steps.test_changed_roles_of_a_member_are_sent_to_that_member_and_take_effect,
            steps.test_changed_overrides_are_sent_to_the_users_concerned_and_take_effect,
        ),
        "`PRESENCE_INITIAL_STATE`": across_nodes(
            steps.test_a_client_that_connects_gets_the_online_users_and_the_others_its_presence,
            mew_steps.a_new_client_gets_the_users_of_every_node,
        ),
        "`PRESENCE_UPDATE`": across_nodes(
            steps.test_a_client_that_connects_gets_the_online_users_and_the_others_its_presence,
            steps.test_a_client_that_disconnects_is_announced_offline_to_the_others,
            mew_steps.tabs_on_two_nodes_are_one_user,
            nodes=2,
        ),
        "`ready`": one_connection("only the new socket gets it"),
        "`error`": one_connection("the answer to an event of the same socket"),
    },
    "other rules": {
        "tokens": one_connection(_HANDSHAKE),
        "a refusal": one_connection(_HANDSHAKE),
        "origins": one_connection(_HANDSHAKE),
        "rooms change together": across_nodes(
            steps.test_a_kicked_member_gets_server_kick_and_nothing_more,
            steps.test_a_member_that_leaves_is_sent_to_the_remaining_members,
            events=("MEMBER_LEAVE",),
        ),
        "a channel whose id": across_nodes(
            mew_steps.a_channel_with_the_id_of_a_user_is_a_different_room, events=("ROOM",)
        ),
        "`/infra`": one_connection(_HANDSHAKE),
        "`SYSTEM_BOT_CONFIG_UPDATE`": across_nodes(
            steps.test_a_changed_bot_is_sent_to_the_service_of_its_type_only,
            mew_steps.infra_is_apart_from_users_on_every_node,
            nodes=2,
        ),
    },
}

COMMON: Table = {
    "rule": {
        "origins": one_connection(_HANDSHAKE),
        "tokens": one_connection(_HANDSHAKE),
        "an expired or revoked token": across_nodes(
            mew_steps.a_revoked_token_ends_on_every_node_and_is_refused_there, events=("E",), nodes=2
        ),
        "order": across_nodes(mew_steps.all_clients_see_the_events_of_all_nodes_in_one_order, events=("E",), nodes=2),
        "bad input": one_connection("the client gets an error, or is closed"),
        "all systems": across_nodes(
            mew_steps.a_user_is_disconnected_on_every_node, events=("E", "still here"), nodes=2
        ),
    },
}


def test_every_row_is_in_the_table() -> None:
    assert problems("Common to all", COMMON) == []
    assert problems("Mew", ROWS) == []


@pytest.fixture(scope="module")
async def no_leaked_tasks() -> AsyncIterator[None]:
    """The clients stay connected between the steps. At the end of the module no task may be left."""
    async with no_task_left():
        yield


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess) -> AsyncIterator[MewNodes]:
    async with mew_nodes(tmp_path_factory.mktemp("mew"), redis_process.url) as mew:
        yield mew


@pytest.fixture
async def mew(running: MewNodes) -> MewNodes:
    """A new server with its channels. The users stay connected between the steps."""
    await running.prepare()
    await running.connect_all()
    return running


@pytest.mark.parametrize("case", [*cases("Common to all", COMMON), *cases("Mew", ROWS)])
async def test_a_row_holds_across_nodes(case: Case, mew: MewNodes) -> None:
    await case.run(mew)


@pytest.mark.parametrize("step", [pytest.param(step, id=step.__name__) for step in mew_steps.STEPS])
async def test_a_step_of_several_nodes(step: Step, mew: MewNodes) -> None:
    await step(mew)
