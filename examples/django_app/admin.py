"""The admin. What is changed there reaches clients too, by the receivers of signals."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from examples.django_app.models import Channel, Member, Message, Server

admin.site.register(Server)


class InOnePlace(admin.ModelAdmin):  # type: ignore[misc]
    """A row that stays where it was made. A receiver would not know whom to remove from the rooms of the old place."""

    fixed: tuple[str, ...] = ("server",)

    def get_readonly_fields(self, request: HttpRequest, obj: object | None = None) -> tuple[Any, ...]:
        return () if obj is None else self.fixed


admin.site.register(Channel, InOnePlace)


@admin.register(Member)
class MemberAdmin(InOnePlace):
    """Memberships."""

    fixed = ("server", "user")


@admin.register(Message)
class MessageAdmin(InOnePlace):
    """Messages, with what is needed to moderate them."""

    fixed = ("channel", "author")
    list_display = ["content", "author", "channel", "created_at", "retracted"]
    list_filter = ["channel", "retracted"]
