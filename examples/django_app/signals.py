"""Sends an event for each change of a table, after the commit: of views, sockets and the admin alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from examples.django_app.models import Channel, Member, Message, Server
from examples.django_app.realtime import mew


def after_commit(send: Callable[[], object]) -> None:
    """With `robust`, a broker that is down is logged, and what has been saved does not fail."""
    transaction.on_commit(send, robust=True)


@receiver(post_save, sender=Message)  # type: ignore[untyped-decorator]
def message_saved(instance: Message, created: bool, **_: Any) -> None:
    channel_id, event = instance.channel_id, instance.as_event()
    if created:
        after_commit(lambda: mew().message_create(channel_id, event, recipients=None))
    else:
        after_commit(lambda: mew().message_update(channel_id, event, recipients=None))


@receiver(post_save, sender=Channel)  # type: ignore[untyped-decorator]
def channel_saved(instance: Channel, created: bool, **_: Any) -> None:
    server_id, channel_id = instance.server_id, instance.pk
    event = {"id": str(channel_id), "serverId": str(server_id), "name": instance.name}
    if created:  # the members enter the room of the new channel
        after_commit(lambda: mew().permissions_update(server_id, channel_id=channel_id))
    after_commit(lambda: mew().channel_update(server_id, event))


@receiver(post_delete, sender=Channel)  # type: ignore[untyped-decorator]
def channel_deleted(instance: Channel, **_: Any) -> None:
    server_id, channel_id = instance.server_id, instance.pk
    after_commit(lambda: mew().channel_delete(server_id, channel_id))


@receiver(post_save, sender=Member)  # type: ignore[untyped-decorator]
def member_saved(instance: Member, created: bool, **_: Any) -> None:
    if created:
        server_id, user_id = instance.server_id, instance.user_id
        after_commit(lambda: mew().member_join(server_id, user_id))


@receiver(post_delete, sender=Member)  # type: ignore[untyped-decorator]
def member_deleted(instance: Member, **_: Any) -> None:
    server_id, user_id = instance.server_id, instance.user_id
    after_commit(lambda: mew().server_kick(server_id, user_id))


@receiver(post_delete, sender=Server)  # type: ignore[untyped-decorator]
def server_deleted(instance: Server, **_: Any) -> None:
    server_id = instance.pk
    after_commit(lambda: mew().server_delete(server_id))
