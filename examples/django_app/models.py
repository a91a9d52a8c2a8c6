"""The tables: servers with members and channels, and the messages in channels."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models


class Server(models.Model):  # type: ignore[misc]  # Django is published without types
    """A group of users with channels. No channel may have the id of a server, since both name rooms: they are UUIDs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Member", related_name="servers")

    def __str__(self) -> str:
        return str(self.name)


class Member(models.Model):  # type: ignore[misc]
    """A user is in a server."""

    server = models.ForeignKey(Server, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "user"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.user} in {self.server}"


class Channel(models.Model):  # type: ignore[misc]
    """A channel of a server. All members read and write it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, models.CASCADE, related_name="channels")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"#{self.name}"


class Message(models.Model):  # type: ignore[misc]
    """A message. Deleting it empties it: clients show that there was one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    content = models.TextField(max_length=4000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retracted = models.BooleanField(default=False)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return str(self.content)[:40]

    def as_event(self) -> dict[str, Any]:
        """The message as clients get it."""
        return {
            "id": str(self.id),
            "channelId": str(self.channel_id),
            "authorId": str(self.author_id),
            "author": self.author.get_username(),
            "content": self.content,
            "createdAt": self.created_at.isoformat(),
            "retracted": self.retracted,
        }
