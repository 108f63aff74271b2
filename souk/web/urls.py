"""Addresses at the root."""

from __future__ import annotations

from django.urls import path

from souk.web import views

urlpatterns = [
    path("health/live", views.Live.as_view()),
    path("health/ready", views.Ready.as_view()),
    path("metrics", views.Metrics.as_view()),
]
