"""The door of the pages for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from souk.kit.problem import DependencyUnavailable
from souk.kit.ratelimit import RateLimited, Use, address_of, count

# A try costs as much as a failed sign-in at the token door: staff sign in seldom, and theirs is the dearest password.
TRY_COST = 10


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold has no types
    """User name and password of a member of the staff, tried as often as the limits of signing in allow."""

    def clean(self) -> dict[str, Any]:
        username = str(self.data.get("username", ""))[:200].strip().lower()
        uses = [Use("sign-in-account", username, cost=TRY_COST), Use("sign-in-address", address_of(self.request))]
        try:
            count(uses, needed=True)
        except (RateLimited, DependencyUnavailable) as refused:
            raise ValidationError(refused.detail) from refused
        return super().clean()  # type: ignore[no-any-return]  # unfold has no types


# Tokens and clients are no rows to be edited: what ends them is an operation on their user.
for model in list(admin.site._registry):
    if model._meta.app_label == "oauth2_provider":
        admin.site.unregister(model)
admin.site.login_form = SignInForm
admin.site.index_title = "Overview"
pages = admin.site.urls
