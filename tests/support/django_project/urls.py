"""The routes: each kind of view sends to clients."""

from __future__ import annotations

import multiprocessing

from django.contrib import admin
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.models import User
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from asgi_realtime.django import aget_broadcaster, get_broadcaster
from tests.support.django_project.models import Deputy, Editor, Membership, Note


@csrf_exempt  # type: ignore[untyped-decorator]
def log_in(request: HttpRequest) -> HttpResponse:
    login(request, get_user_model().objects.get(username=request.POST["name"]))
    if "seconds" in request.POST:
        request.session.set_expiry(int(request.POST["seconds"]))
    return HttpResponse()


@csrf_exempt  # type: ignore[untyped-decorator]
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


@csrf_exempt  # type: ignore[untyped-decorator]
def change_account(request: HttpRequest) -> HttpResponse:
    """Changes or removes the password, deactivates or deletes, by one of the models of users."""
    user = {"user": User, "proxy": Deputy, "child": Editor}[request.POST["model"]].objects.get(pk=request.user.pk)
    match request.POST["change"]:
        case "password":
            user.set_password("another")
        case "no password":
            user.set_unusable_password()
        case "inactive":
            user.is_active = False
        case "email":
            user.email = "new@example.com"
        case "delete":
            user.delete()
            return HttpResponse()
    user.save()
    return HttpResponse()


@csrf_exempt  # type: ignore[untyped-decorator]
def post_note(request: HttpRequest) -> HttpResponse:
    """A sync view: it broadcasts when the transaction is committed. With `fail`, it is rolled back."""
    try:
        with transaction.atomic():
            note = Note.objects.create(room="notes", text=request.POST["text"])
            data = {"id": note.pk, "text": note.text}
            transaction.on_commit(lambda: get_broadcaster().broadcast_to_room("notes", "note", data, gateway="/notes"))
            if "fail" in request.POST:
                raise ValueError
    except ValueError:
        return HttpResponse(status=400)
    return JsonResponse(data, status=201)


@csrf_exempt  # type: ignore[untyped-decorator]
async def post_note_async(request: HttpRequest) -> HttpResponse:
    note = await Note.objects.acreate(room="notes", text=request.POST["text"])
    data = {"id": note.pk, "text": note.text}
    broadcaster = await aget_broadcaster()
    await broadcaster.broadcast_to_room("notes", "note", data, gateway="/notes")
    return JsonResponse(data, status=201)


@csrf_exempt  # type: ignore[untyped-decorator]
def post_note_in_child(request: HttpRequest) -> HttpResponse:
    """Forks a process, which sends."""
    child = multiprocessing.get_context("fork").Process(target=_send, args=(request.POST["text"],))
    child.start()
    child.join()
    return HttpResponse(status=201)


def _send(text: str) -> None:
    get_broadcaster().broadcast_to_room("notes", "note", {"text": text}, gateway="/notes")


@csrf_exempt  # type: ignore[untyped-decorator]
def add_member(request: HttpRequest) -> HttpResponse:
    """A sync view that waits for the gateway's async service, which uses the ORM too."""
    Membership.objects.create(user=request.user, room=request.POST["room"])
    get_broadcaster().refresh_rooms(request.user.pk)
    receipt = get_broadcaster().broadcast_to_room("everybody", "member", {"room": request.POST["room"]})
    return JsonResponse({"delivered": receipt.delivered_locally})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("log-in", log_in),
    path("log-out", log_out),
    path("account", change_account),
    path("notes", post_note),
    path("notes/async", post_note_async),
    path("notes/child", post_note_in_child),
    path("members", add_member),
    *staticfiles_urlpatterns(),
]
