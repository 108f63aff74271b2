"""Addresses below /api/v1/ and, for tokens, at the root."""

from __future__ import annotations

from django.urls import path

from souk.accounts import views

api_urlpatterns = [
    path("users", views.Users.as_view()),
    path("users/<uuid:user_id>", views.OneUser.as_view()),
    path("users/<uuid:user_id>/follow", views.Following.as_view()),
    path("users/<uuid:user_id>/followers", views.Followers.as_view()),
    path("me", views.Me.as_view()),
    path("me/following", views.MyFollowing.as_view()),
    path("me/delete", views.Deletion.as_view()),
    path("me/password", views.Password.as_view()),
    path("password-resets", views.PasswordResets.as_view()),
    path("password-resets/confirm", views.PasswordResetConfirmation.as_view()),
    path("email-verifications/confirm", views.EmailConfirmation.as_view()),
]

root_urlpatterns = [
    path("oauth/token", views.token),
    path("oauth/revoke", views.revoke),
    path(".well-known/oauth-authorization-server", views.Metadata.as_view()),
]
