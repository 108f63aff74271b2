"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.webhooks import views

urlpatterns = [
    path("webhooks", views.Webhooks.as_view()),
    path("webhooks/<uuid:webhook_id>", views.OneWebhook.as_view()),
    path("webhooks/<uuid:webhook_id>/rotate", views.Rotation.as_view()),
    path("webhooks/<uuid:webhook_id>/test", views.Test.as_view()),
    path("webhooks/<uuid:webhook_id>/replay", views.Replay.as_view()),
    path("webhooks/<uuid:webhook_id>/deliveries", views.Deliveries.as_view()),
]
