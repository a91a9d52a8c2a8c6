"""Which clients get positions, by the handshakes that their sources write."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from asgi_realtime.recovery.clients import gets_positions
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json

DEFLATE = {"sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}


def handshake(query: str, headers: dict[str, str], auth: Json = None) -> Handshake:
    return Handshake(query=dict(parse_qsl(query)), headers=headers, auth=auth)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("EIO=4&transport=polling&t=PFq8xQc", BROWSER),  # 4.6 and 4.7
        ("EIO=4&transport=polling&t=PFq8xQc&b64=1", {"user-agent": "node-XMLHttpRequest"}),
        ("EIO=4&transport=polling&t=PFq8xQc.0", BROWSER),
        ("EIO=4&transport=polling&t=b3c9x1qz", BROWSER),  # 4.8
        ("token=abc&EIO=4&transport=polling&t=b3c9x1qz", BROWSER),  # the option `query`
        ("EIO=4&transport=websocket", DEFLATE),  # Node
        ("EIO=4&transport=websocket", BROWSER | DEFLATE),
        ("EIO=4&transport=websocket&t=b3c9x1qz", BROWSER | DEFLATE),  # the option `timestampRequests`
    ],
)
def test_the_javascript_client_gets_positions(query: str, headers: dict[str, str]) -> None:
    assert gets_positions(handshake(query, headers))


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("transport=polling&EIO=4&t=1764396000.1234", {"user-agent": "Python/3.12 aiohttp/3.13"}),  # Python
        ("transport=polling&EIO=4&t=1764396000.1234", {"user-agent": "python-requests/2.32"}),
        ("transport=websocket&EIO=4&t=1764396000.1234", {"user-agent": "Python/3.12 aiohttp/3.13"}),
        ("transport=websocket&EIO=4&t=1764396000.1234", {}),
        ("transport=websocket&EIO=4", DEFLATE),
        ("transport=polling&b64=1&EIO=4", {"user-agent": "App/1 CFNetwork/1494 Darwin/23"}),  # Swift
        ("transport=websocket&EIO=4", {"user-agent": "App/1 CFNetwork/1494 Darwin/23"}),
        ("t=PFq8xQc&EIO=4&transport=polling", {"user-agent": "okhttp/3.12.12"}),  # Java
        ("EIO=4&transport=websocket", {"user-agent": "okhttp/3.12.12"} | DEFLATE),
        ("EIO=4&transport=polling", {}),  # C#
        ("EIO=4&transport=websocket", {}),
        ("EIO=4&transport=polling", {"user-agent": "Dart/3.5 (dart:io)"}),  # Dart
        ("EIO=4&transport=websocket", {"user-agent": "Dart/3.5 (dart:io)"} | DEFLATE),
        ("EIO=4&transport=polling&b64=1", {}),
        ("EIO=4&transport=polling&t=1764396000123", {}),
        ("EIO=4&transport=polling&t=", BROWSER),
        ("EIO=4", BROWSER | DEFLATE),
        ("", {}),
    ],
)
def test_other_clients_get_none(query: str, headers: dict[str, str]) -> None:
    assert not gets_positions(handshake(query, headers))


@pytest.mark.parametrize("wanted", [True, False])
def test_a_client_may_choose_itself(wanted: bool) -> None:
    javascript = "EIO=4&transport=polling&t=b3c9x1qz"
    for query in (javascript, "transport=polling&EIO=4"):
        assert gets_positions(handshake(query, {}, {"recovery": wanted})) is wanted
        assert gets_positions(handshake(f"recovery={str(wanted).lower()}&{query}", {})) is wanted
        assert gets_positions(handshake(f"recovery=false&{query}", {}, {"recovery": wanted})) is wanted
    unclear_choices: list[Json] = ["yes", 1, None, []]
    for unclear in unclear_choices:
        assert gets_positions(handshake(javascript, {}, {"recovery": unclear}))
    assert not gets_positions(handshake("recovery=TRUE&transport=polling", {}, "recovery"))
