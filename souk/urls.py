"""Every address of Souk. The product list is search's and a new product is catalog's: one path, joined by method."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.csrf import csrf_exempt

from souk.accounts.urls import api_urlpatterns as accounts_api
from souk.accounts.urls import root_urlpatterns as accounts_root
from souk.catalog.urls import new_product
from souk.search.urls import product_list


@csrf_exempt
def products(request: HttpRequest) -> HttpResponseBase:
    """`GET /products` and `POST /products`."""
    view = new_product if request.method == "POST" else product_list
    return view(request)


api: list[URLPattern | URLResolver] = [
    path("products", products),
    path("", include("souk.catalog.urls")),
    path("", include("souk.orders.urls")),
    path("", include((accounts_api, "accounts"))),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("", include("souk.web.urls")),
    path("", include((accounts_root, "tokens"))),
]

handler400 = "souk.kit.request.bad_request"
handler404 = "souk.kit.request.not_found"
handler500 = "souk.kit.request.server_error"
