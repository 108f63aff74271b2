"""Addresses of accounts and tokens."""

from __future__ import annotations

from django.urls import URLPattern

api_urlpatterns: list[URLPattern] = []
root_urlpatterns: list[URLPattern] = []
