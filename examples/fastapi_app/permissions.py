"""The rules of permissions: pure functions on bits. `access.py` loads their input."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntFlag, auto
from typing import Literal, NamedTuple


class Permission(IntFlag):
    """A permission in a server or a channel. On the wire, permissions are a list of names."""

    VIEW_CHANNEL = auto()
    SEND_MESSAGES = auto()
    ADD_REACTIONS = auto()
    MANAGE_MESSAGES = auto()
    MANAGE_CHANNELS = auto()
    MANAGE_ROLES = auto()
    MANAGE_SERVER = auto()
    MANAGE_STICKERS = auto()
    INVITE_MEMBERS = auto()
    KICK_MEMBERS = auto()


NOTHING = Permission(0)
ALL = ~NOTHING
IN_A_DM = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES | Permission.ADD_REACTIONS
DEFAULT_ROLE = IN_A_DM
"""The permissions of the default role of a new server."""


class Override(NamedTuple):
    """What a channel changes for a role or for one user."""

    target_type: Literal["role", "user"]
    target_id: str
    allow: Permission
    deny: Permission


def names(permissions: Permission) -> list[str]:
    """The names on the wire, in order of declaration."""
    return [permission.name for permission in Permission if permission in permissions and permission.name]


def parse(wanted: Collection[str]) -> Permission:
    """The permissions of these names.

    Raises:
        ValueError: if a name is unknown.
    """
    permissions = NOTHING
    for name in wanted:
        if name not in Permission.__members__:
            raise ValueError(f"permissions are {', '.join(Permission.__members__)}")
        permissions |= Permission[name]
    return permissions


def union(permissions: Iterable[Permission]) -> Permission:
    """The permissions of several roles together."""
    result = NOTHING
    for permission in permissions:
        result |= permission
    return result


def in_channel(
    in_server: Permission,
    overrides: Iterable[Override],
    *,
    default_role_id: str,
    role_ids: Collection[str],
    user_id: str,
) -> Permission:
    """A member's permissions in a channel, from the permissions in its server.

    Overrides apply in this order: the default role's, then those of the member's roles together (an
    allow beats a deny), then the member's own. A member who may not view a channel has no permission in
    it.
    """
    default, own = (NOTHING, NOTHING), (NOTHING, NOTHING)
    roles_allow, roles_deny = NOTHING, NOTHING
    for override in overrides:
        target = (override.target_type, override.target_id)
        if target == ("role", default_role_id):
            default = override.allow, override.deny
        elif target == ("user", user_id):
            own = override.allow, override.deny
        elif override.target_type == "role" and override.target_id in role_ids:
            roles_allow |= override.allow
            roles_deny |= override.deny
    result = in_server
    for allow, deny in (default, (roles_allow, roles_deny), own):
        result = result & ~deny | allow
    return result if Permission.VIEW_CHANNEL in result else NOTHING
