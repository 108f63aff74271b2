"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import path

from souk.orders import views

urlpatterns = [
    path("orders", views.Orders.as_view()),
    path("orders/<uuid:order_id>", views.OneOrder.as_view()),
    path("orders/<uuid:order_id>/confirm", views.Confirmation.as_view()),
    path("orders/<uuid:order_id>/cancel", views.Cancellation.as_view()),
    path("orders/<uuid:order_id>/history", views.History.as_view()),
    path("bag/order", views.BagOrder.as_view()),
    path("sales", views.Sales.as_view()),
    path("sales/<uuid:order_id>", views.OneSale.as_view()),
]
