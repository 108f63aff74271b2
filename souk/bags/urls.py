"""Addresses below /api/v1/. `POST /bag/order` is the orders' door."""

from __future__ import annotations

from django.urls import path

from souk.bags import views

urlpatterns = [
    path("bag", views.OpenBag.as_view()),
    path("bag/lines", views.AllLines.as_view()),
    path("bag/lines/<uuid:product_id>", views.OneLine.as_view()),
]
