"""The door of the pages for staff: signing in, another password, and what is taken from or added to unfold's site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import logout
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.core.paginator import InvalidPage
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm

from souk.accounts.operations import change_password
from souk.kit.problem import DependencyUnavailable, MalformedRequest, Refused
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


class PasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]  # unfold has no types
    """The password until now, and twice the new one. Whether they will do is for the operation to say."""

    def clean_old_password(self) -> str:
        return str(self.cleaned_data["old_password"])

    def clean(self) -> dict[str, Any]:
        self.validate_passwords("new_password1", "new_password2")
        return dict(self.cleaned_data)


class PasswordPage(PasswordChangeView):
    """Another password, by the operation that the API calls: every token and every session ends, this one too."""

    form_class = PasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        user: Any = self.request.user
        current, new = form.cleaned_data["old_password"], form.cleaned_data["new_password1"]
        try:
            count([Use("sign-in-account", user.username.lower(), cost=TRY_COST)], needed=True)
            change_password(user=user, current_password=current, new_password=new)
        except Refused as refused:
            for error in refused.errors or [{"detail": refused.detail}]:
                about = "new_password1" if error.get("pointer") == "/new_password" else "old_password"
                form.add_error(about, str(error["detail"]))
            return self.form_invalid(form)
        logout(self.request)
        messages.success(self.request, "Your password is changed. Sign in with the new one.")
        return redirect("admin:index")


def another_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
    """The page at /admin/password_change/. Django's own saves the row by itself, and every token lives on."""
    context = {**admin.site.each_context(request), **(extra_context or {})}
    return PasswordPage.as_view(extra_context=context)(request)


def search(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
    """What unfold finds among the names of the pages. It believes that the number of a page is one that there is."""
    try:
        return found_by_unfold(request, extra_context)  # type: ignore[no-any-return]  # unfold has no types
    except (InvalidPage, ValueError) as error:
        raise MalformedRequest from error


# Tokens and clients are no rows to be edited: what ends them is an operation on their user.
for model in list(admin.site._registry):
    if model._meta.app_label == "oauth2_provider":
        admin.site.unregister(model)
found_by_unfold = admin.site.search  # type: ignore[attr-defined]  # unfold's site is in the place of Django's
admin.site.search = search  # type: ignore[attr-defined]  # the same
admin.site.password_change = another_password  # type: ignore[assignment]  # a function in the place of a method
admin.site.login_form = SignInForm
admin.site.index_title = "Overview"
patterns, application, site = admin.site.urls
# Nothing here has a page on the site that Django could lead to; and it asks the database for any id that is sent.
pages = ([one for one in patterns if getattr(one, "name", "") != "view_on_site"], application, site)
