"""Every address of Souk. The product list is search's and a new product is catalog's: one path, joined by method."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from souk.accounts.urls import api_urlpatterns as accounts_api
from souk.accounts.urls import root_urlpatterns as accounts_root
from souk.catalog.urls import NewProduct
from souk.search.urls import ProductList
from souk.web.urls import api_urlpatterns as web_api


class Products(ProductList, NewProduct):
    """`GET /products` and `POST /products`."""


api: list[URLPattern | URLResolver] = [
    path("products", Products.as_view()),
    path("", include("souk.catalog.urls")),
    path("", include("souk.search.urls")),
    path("", include("souk.bags.urls")),
    path("", include("souk.orders.urls")),
    path("", include((accounts_api, "accounts"))),
    path("", include((web_api, "web"))),
    path("", include("souk.eventlog.urls")),
    path("", include("souk.webhooks.urls")),
    path("", include("souk.live.urls")),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("", include("souk.web.urls")),
    path("", include((accounts_root, "tokens"))),
]

handler400 = "souk.kit.request.bad_request"
handler404 = "souk.web.shop.not_found"
handler500 = "souk.kit.request.server_error"
