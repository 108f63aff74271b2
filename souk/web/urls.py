"""Addresses at the root, the shop front among them, and the machines below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.web import files, machines, pages, shop, staff, views

urlpatterns = [
    path("health/live", views.Live.as_view()),
    path("health/ready", views.Ready.as_view()),
    path("metrics", views.Metrics.as_view()),
    *(path(place, shop.Shop.as_view()) for place in shop.PLACES),
    path("assets/<str:version>/<path:name>", shop.Asset.as_view()),
    path("static/<path:name>", files.StaticFile.as_view()),
    path("admin/", staff.pages),
    path("problems", pages.Problems.as_view()),
    path("problems/<str:code>", pages.ProblemPage.as_view()),
    path("machines", pages.MachinesPage.as_view()),
    path("guide", pages.Guide.as_view()),
    path("guide/", pages.Guide.as_view()),
    path("guide/<path:name>", pages.Guide.as_view()),
    path("reading/<str:folder>/<path:name>", pages.File.as_view()),
]

api_urlpatterns = [
    path("machines", machines.Machines.as_view()),
    path("machines/<str:name>", machines.OneMachine.as_view()),
    path("openapi.json", pages.Contract.as_view()),
    path("docs", pages.SwaggerPage.as_view()),
    path("redoc", pages.RedocPage.as_view()),
]
