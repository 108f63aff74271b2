"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.eventlog import views

urlpatterns = [path("events", views.Events.as_view())]
