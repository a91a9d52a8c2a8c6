"""The names of keys and channels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from asgi_realtime.redis.keys import COMMANDS, SHARED, Keys, suffixes
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Target, ToAll, ToRoom, ToUsers
from tests.support.paths import DOCS


def names_of(prefix: str, gateway: str, *ends: str) -> list[str]:
    """Every key and channel of a gateway, for some targets, nodes and idempotency keys."""
    keys = Keys(prefix, GatewayName(gateway))
    names = [keys.state, keys.revoked_tokens, keys.revoked_users, keys.connections, keys.leaving]
    names += [keys.nodes, keys.ended_nodes]
    for end in ends:
        names += keys.last(end), keys.history(end), keys.receipt(end), keys.of_node(end), keys.channel(end)
    return names


texts = st.text(st.characters(codec="utf-8"), max_size=10)


@given(prefix=st.from_regex(r"[a-z][a-z0-9:_-]{0,9}", fullmatch=True), gateway=texts.map("/".__add__), end=texts)
def test_all_names_of_a_gateway_have_the_prefix_and_one_slot(prefix: str, gateway: str, end: str) -> None:
    names = names_of(prefix, gateway, end)
    assert all(name.startswith(f"{prefix}:") for name in names)
    assert len({key_slot(name.encode()) for name in names}) == 1


@given(one=texts.map("/".__add__), other=texts.map("/".__add__), ends=st.tuples(texts, texts))
def test_two_gateways_share_no_name(one: str, other: str, ends: tuple[str, str]) -> None:
    if one != other:
        assert not {*names_of("mew", one, *ends)} & {*names_of("mew", other, *ends)}
    assert not {*names_of("mew", one, *ends)} & {*names_of("mew", SHARED, *ends)}


@pytest.mark.parametrize("gateway", ["/{a}", "/a}", "/%7Ba", "/{", "/"])
def test_braces_of_a_gateway_do_not_end_its_hash_tag(gateway: str) -> None:
    state = Keys("mew", GatewayName(gateway)).state
    assert (state.count("{"), state.count("}")) == (1, 1)


def targets() -> st.SearchStrategy[Target]:
    return st.one_of(
        st.just(ToAll()),
        texts.map(lambda room: ToRoom(RoomName(room))),
        texts.map(lambda user: ToUsers((UserId(user),))),
    )


@given(one=targets(), other=targets())
def test_two_targets_share_no_name_and_none_has_that_of_commands(one: Target, other: Target) -> None:
    assert (suffixes(one) == suffixes(other)) == (one == other)
    assert COMMANDS not in suffixes(one)


def test_a_target_of_several_users_has_one_name_for_each() -> None:
    ada, bob = UserId("ada"), UserId("bob")
    assert suffixes(ToUsers((bob, ada, bob))) == ["u:bob", "u:ada"]
    assert suffixes(ToUsers(())) == []


def test_the_page_lists_every_key() -> None:
    page = (DOCS / "operations/redis.md").read_text("utf-8")
    keys, shared = Keys("mew", GatewayName("<gateway>")), Keys("mew", SHARED)
    names = [keys.state, keys.last("<target>"), keys.history("<target>"), keys.receipt("<key>")]
    names += [keys.connections, keys.leaving, keys.of_node("<node>")]
    names += [shared.nodes, shared.ended_nodes, shared.of_node("<node>")]
    names += [shared.revoked_tokens, shared.revoked_users]
    assert [name for name in names if f"| `{name}` |" not in page] == []
