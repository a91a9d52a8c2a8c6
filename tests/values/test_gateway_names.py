"""Which strings are valid names of a gateway, and which of a Socket.IO namespace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.packets import read_header
from asgi_realtime.values.gateway_names import is_gateway_name, is_namespace


@pytest.mark.parametrize("name", ["/", "/chat", "/a/b", "/chat room", "/über"])
def test_names_valid_for_a_gateway_and_a_namespace(name: str) -> None:
    assert is_gateway_name(name) and is_namespace(name)


@pytest.mark.parametrize("name", ["/a,b", "/a?b"])
def test_paths_that_are_not_valid_as_namespaces(name: str) -> None:
    assert is_gateway_name(name) and not is_namespace(name)


@pytest.mark.parametrize("name", ["", "chat", "/a\n", "/a\x7f", "/\ud83d", "/a\u200b"])
def test_names_valid_for_neither_gateway_nor_namespace(name: str) -> None:
    assert not is_gateway_name(name) and not is_namespace(name)


@given(st.text(max_size=20).map(lambda text: f"/{text}"))
def test_a_client_connects_to_exactly_the_namespaces_that_can_be_mounted(name: str) -> None:
    def decoded() -> str | None:
        try:
            return read_header(f"0{name},", Limits()).namespace
        except ProtocolError:
            return None

    if is_namespace(name):
        assert SocketIODialect(name).namespace == decoded() == name
    else:
        assert decoded() != name
        with pytest.raises(ValueError):
            SocketIODialect(name)
