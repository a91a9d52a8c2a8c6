"""Clients of a test that stay connected until its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from asgi_realtime.testing.client import RealtimeTestClient
from asgi_realtime.testing.socket import Socket
from asgi_realtime.testing.wire import Transport
from asgi_realtime.values.ids import Id


class Connect:
    """Connects clients: `ada = await connect("ada")`. They leave at the end of its `async with` block."""

    def __init__(self, client: RealtimeTestClient) -> None:
        self._client = client
        self._sockets = AsyncExitStack()

    async def __call__(
        self,
        user_id: Id | None = None,
        gateway: str = "/",
        *,
        token: str | None = None,
        auth: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        transport: Transport = "websocket",
    ) -> Socket:
        """Connect a client, with a token of this user unless `token` is another one.

        The other arguments are those of `RealtimeTestClient.connect`.

        Raises:
            ConnectionRefused: with the answer that the client got.
            ConfigurationError: the app has no `MEW_JWT_SECRET` to sign a token with. Leave out the user, and pass what
                your authenticator reads.
        """
        if user_id is not None and token is None:
            token = self._client.token(user_id)
        connecting = self._client.connect(
            gateway, token=token, auth=auth, query=query, headers=headers, cookies=cookies, transport=transport
        )
        return await self._sockets.enter_async_context(connecting)

    async def __aenter__(self) -> Connect:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._sockets.aclose()
