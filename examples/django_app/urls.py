"""The routes."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from examples.django_app import views

urlpatterns = [
    path("", views.page),
    path("servers", views.servers),
    path("servers/<uuid:server_id>/join", views.join),
    path("servers/<uuid:server_id>/members/<int:user_id>/kick", views.kick),
    path("channels/<uuid:channel_id>/messages", views.messages),
    path("messages/<uuid:message_id>/retract", views.retract),
    path("log-in", LoginView.as_view(template_name="chat/log-in.html"), name="log-in"),
    path("log-out", LogoutView.as_view(), name="log-out"),
    path("admin/", admin.site.urls),
    *staticfiles_urlpatterns(),  # `runserver` does not need it, other servers do, with DEBUG
]
