"""Addresses below /api/v1/ and, for tokens, at the root."""

from __future__ import annotations

from django.urls import path

from souk.accounts import views

api_urlpatterns = [
    path("users", views.Users.as_view()),
    path("users/<uuid:user_id>", views.OneUser.as_view()),
    path("me", views.Me.as_view()),
]

root_urlpatterns = [
    path("oauth/token", views.token),
    path("oauth/revoke", views.revoke),
    path(".well-known/oauth-authorization-server", views.metadata),
]
