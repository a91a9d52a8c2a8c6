"""`manage.py seed`: four users with the password `mew`, and a server with channels and messages."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from examples.django_app.models import Channel, Member, Message, Server

PASSWORD = "mew"


class Command(BaseCommand):  # type: ignore[misc]
    """Fills an empty database."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Create everything, once."""
        users = get_user_model().objects
        if users.exists():
            return
        with transaction.atomic():
            alice = users.create_superuser("alice", password=PASSWORD)
            others = [users.create_user(name, password=PASSWORD) for name in ("bob", "carol", "dave")]
            server = Server.objects.create(name="Mew HQ", owner=alice)
            Member.objects.bulk_create(Member(server=server, user=user) for user in (alice, *others[:2]))
            channels = [Channel.objects.create(server=server, name=name) for name in ("general", "random", "welcome")]
            Message.objects.create(channel=channels[0], author=alice, content="Welcome to Mew HQ, on Django.")
