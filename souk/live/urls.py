"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.live import views

urlpatterns = [path("live/tickets", views.Tickets.as_view())]
