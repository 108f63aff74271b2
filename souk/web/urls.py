"""Addresses at the root, the shop front among them, and the machines below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.web import machines, shop, staff, views

urlpatterns = [
    path("health/live", views.Live.as_view()),
    path("health/ready", views.Ready.as_view()),
    path("metrics", views.Metrics.as_view()),
    *(path(place, shop.Shop.as_view()) for place in shop.PLACES),
    path("assets/<str:version>/<path:name>", shop.Asset.as_view()),
    path("admin/", staff.pages),
]

api_urlpatterns = [
    path("machines", machines.Machines.as_view()),
    path("machines/<str:name>", machines.OneMachine.as_view()),
]
