"""How the clients of a gateway recover. The kinds of gateway in this package define it."""

from __future__ import annotations

from typing import ClassVar

from asgi_realtime.gateways.dispatcher import Dispatcher
from asgi_realtime.recovery.session import SessionClaim
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity


class RecoveryRules(Dispatcher):
    """Which clients get positions, and how a client that returns asks for its session."""

    _answer_has_position: ClassVar[bool] = False
    """Whether the answer to a client tells it its position. Then the answer comes before the missed events."""

    @property
    def _recovers(self) -> bool:
        """Whether clients of this gateway can recover, if the application has recovery."""
        return False

    def _gets_positions(self, handshake: Handshake) -> bool:
        """Whether a client gets positions with its events. Called if the gateway has recovery."""
        return False

    def _session_claim(self, handshake: Handshake) -> SessionClaim | None:
        """What a client that returns presents. None: it does not ask for an earlier session."""
        return None

    def recovered_identity(self, earlier: Identity, identity: Identity) -> Identity | None:
        """Return the identity of a client that has presented the secret of a session. None: the session is not its own.

        Override it in a gateway whose authenticator makes a new user of each client. Must not wait.

        Args:
            earlier: the identity of the session.
            identity: what the authenticator has just returned.
        """
        return identity if identity.user_id == earlier.user_id else None
