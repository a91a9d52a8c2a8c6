"""The page, and what its buttons do. All views are synchronous."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from asgi_realtime import Forbidden, InvalidMessage
from examples.django_app.models import Channel, Member, Message, Server
from examples.django_app.service import write_message


@login_required  # type: ignore[untyped-decorator]
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "chat/page.html", {"user_id": str(request.user.pk)})


@login_required  # type: ignore[untyped-decorator]
@require_GET  # type: ignore[untyped-decorator]
def servers(request: HttpRequest) -> HttpResponse:
    """The servers of the user with channels and members, and those that the user may join."""
    mine = Server.objects.filter(members=request.user).prefetch_related("channels", "members")
    others = Server.objects.exclude(members=request.user)
    return JsonResponse(
        {
            "servers": [_server(server, request) for server in mine],
            "others": [{"id": str(server.pk), "name": server.name} for server in others],
        }
    )


@login_required  # type: ignore[untyped-decorator]
def messages(request: HttpRequest, channel_id: Any) -> HttpResponse:
    """The last messages of a channel, or a new one."""
    if request.method == "POST":
        try:
            message = write_message(request.user.pk, channel_id, request.POST.get("content", ""))
        except Forbidden as error:
            return JsonResponse({"detail": str(error)}, status=404)
        except InvalidMessage as error:
            return JsonResponse({"detail": str(error)}, status=422)
        return JsonResponse(message.as_event(), status=201)
    channel = get_object_or_404(Channel, pk=channel_id, server__members=request.user)
    newest = channel.messages.select_related("author").order_by("-created_at")[:50]
    return JsonResponse([message.as_event() for message in reversed(newest)], safe=False)


@login_required  # type: ignore[untyped-decorator]
@require_POST  # type: ignore[untyped-decorator]
def retract(request: HttpRequest, message_id: Any) -> HttpResponse:
    """Empty a message of the user."""
    message = get_object_or_404(Message, pk=message_id, author=request.user)
    message.content, message.retracted = "", True
    message.save()
    return HttpResponse(status=204)


@login_required  # type: ignore[untyped-decorator]
@require_POST  # type: ignore[untyped-decorator]
def join(request: HttpRequest, server_id: Any) -> HttpResponse:
    """Become a member of a server."""
    with transaction.atomic():
        Member.objects.get_or_create(server=get_object_or_404(Server, pk=server_id), user=request.user)
    return HttpResponse(status=204)


@login_required  # type: ignore[untyped-decorator]
@require_POST  # type: ignore[untyped-decorator]
def kick(request: HttpRequest, server_id: Any, user_id: int) -> HttpResponse:
    """Remove a member. Only the owner may."""
    server = get_object_or_404(Server, pk=server_id, owner=request.user)
    get_object_or_404(Member, server=server, user_id=user_id).delete()
    return HttpResponse(status=204)


def _server(server: Server, request: HttpRequest) -> dict[str, Any]:
    return {
        "id": str(server.pk),
        "name": server.name,
        "mine": server.owner_id == request.user.pk,
        "channels": [{"id": str(channel.pk), "name": channel.name} for channel in server.channels.all()],
        "members": [{"id": str(user.pk), "name": user.get_username()} for user in server.members.all()],
    }
