"""The admin. What is changed there reaches clients too, by the receivers of signals."""

from __future__ import annotations

from django.contrib import admin

from examples.django_app.models import Channel, Member, Message, Server

admin.site.register([Server, Channel, Member])


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """Messages, with what is needed to moderate them."""

    list_display = ["content", "author", "channel", "created_at", "retracted"]
    list_filter = ["channel", "retracted"]
