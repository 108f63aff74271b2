"""Issuing, refreshing and revoking: django-oauth-toolkit's machinery behind a strict reader of forms."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.db.models import DateTimeField, Func
from django.http import HttpRequest, HttpResponse
from oauth2_provider.models import AccessToken, RefreshToken
from oauth2_provider.oauth2_validators import GRANT_TYPE_MAPPING, OAuth2Validator
from oauth2_provider.settings import oauth2_settings
from oauthlib.common import urlencode
from oauthlib.oauth2 import LegacyApplicationServer, OAuth2Error
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError

from souk.accounts.models import User, normal_username
from souk.kit.parsing import UNSTORABLE, body_of
from souk.kit.problem import MalformedRequest
from souk.kit.ratelimit import Use, address_of, give_back, use

FORM = "application/x-www-form-urlencoded"
PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
CHALLENGE = {"WWW-Authenticate": 'Basic realm="souk"'}
LONGEST_VALUE = 1024
# What the toolkit is told of a form. RFC 6749 has a server ignore parameters that it does not know; the toolkit knows
# more of them than Souk offers, and stumbles over some.
KNOWN = frozenset(
    "grant_type username password refresh_token scope client_id client_secret token token_type_hint".split()
)
# What a failed sign-in counts against the limits of its account and its address. Every sign-in counts as one that fails
# until it has succeeded: so many may be tried at once, and no more.
FAILURE_COST = 10


class StatementTimestamp(Func):
    """The database's moment at which the statement began: the same wherever it stands in it."""

    function = "statement_timestamp"
    output_field = DateTimeField()


class TokenRefused(Exception):
    """A token request that is refused before the toolkit sees it, with the error of RFC 6749, section 5.2."""

    def __init__(self, error: str, detail: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.error, self.detail, self.status, self.headers = error, detail, status, dict(headers or {})


class Replayed(InvalidGrantError):
    """A refresh token that had been used before: the whole family of tokens is ended."""


class SoukValidator(OAuth2Validator):  # type: ignore[misc]  # the toolkit has no types
    """The toolkit's rules, and ours: the account must be in good standing and the token not older than its epoch.

    The user's row is locked from the last look at it until the tokens are stored, so that a password change, a lock or
    a deletion comes either before that look or after those tokens. All moments are the database's.
    """

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        # In place of the toolkit's own, which warns in the log at each sign-in that the grant is to go.
        if grant_type == "password" and not settings.PASSWORD_GRANT:
            return False
        return bool(request.client.allows_grant_type(*GRANT_TYPE_MAPPING[grant_type]))

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        if not super().validate_refresh_token(refresh_token, client, request, *args, **kwargs):
            return False
        alive: bool = (
            User.objects.in_good_standing()
            .filter(pk=request.user.pk, token_epoch__lte=request.refresh_token_instance.created)
            .exists()
        )
        return alive

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        try:
            with transaction.atomic():
                self._look_again(request)
                super().save_bearer_token(token, request, *args, **kwargs)
        except Replayed:
            RefreshToken.revoke_family(request.refresh_token_instance.token_family)
            raise

    def _look_again(self, request: Any) -> None:
        """Judge the account and the old token once more, now under their locks."""
        user = User.objects.in_good_standing().filter(pk=request.user.pk).select_for_update(no_key=True).first()
        if user is None:
            raise InvalidGrantError(request=request)
        used = getattr(request, "refresh_token_instance", None)
        if used is None:
            if user.password != request.user.password:
                raise InvalidGrantError(request=request)
            return
        old = RefreshToken.objects.filter(pk=used.pk).select_for_update(no_key=True).first()
        if old is None or old.created < user.token_epoch:
            raise InvalidGrantError(request=request)
        if old.revoked is not None:
            raise Replayed(request=request)

    def _create_access_token(self, expires: Any, request: Any, token: dict[str, Any], **kwargs: Any) -> Any:
        made = super()._create_access_token(expires, request, token, **kwargs)
        life = timedelta(seconds=token["expires_in"])
        now = StatementTimestamp()
        AccessToken.objects.filter(pk=made.pk).update(created=now, expires=now + life)
        return made

    def _create_refresh_token(self, request: Any, *args: Any) -> Any:
        made = super()._create_refresh_token(request, *args)
        RefreshToken.objects.filter(pk=made.pk).update(created=StatementTimestamp())
        return made


def issue_token(request: HttpRequest, form: dict[str, str]) -> HttpResponse:
    """Answer the password and the refresh grant."""
    grant = form.get("grant_type")
    if grant is None:
        raise TokenRefused("invalid_request", "grant_type is missing.")
    if grant not in ("password", "refresh_token"):
        raise TokenRefused("unsupported_grant_type", "Use grant_type=password or grant_type=refresh_token.")
    needed = ("username", "password") if grant == "password" else ("refresh_token",)
    for name in needed:
        if not form.get(name):
            raise TokenRefused("invalid_request", f"{name} is missing.")
    if grant == "refresh_token":
        use(request, Use("sign-in-address", address_of(request)))
        return _ask_toolkit("create_token_response", request, form)
    # The account by the name under which it is found, however it was typed.
    account = (normal_username(form["username"]) or form["username"]).lower()
    uses = [Use("sign-in-address", address_of(request)), Use("sign-in-account", account)]
    use(request, *[replace(one, cost=FAILURE_COST) for one in uses], needed=True)
    spared = FAILURE_COST  # when it ends in an exception: no password was tried
    try:
        answer = _ask_toolkit("create_token_response", request, form)
        spared = 0 if answer.status_code == 400 else FAILURE_COST - 1
    finally:
        if spared:
            give_back(request, *[replace(one, cost=spared) for one in uses])
    return answer


def revoke_token(request: HttpRequest, form: dict[str, str]) -> HttpResponse:
    """End a token; an unknown one is answered like a known one."""
    use(request, Use("writes", address_of(request)))
    if not form.get("token"):
        raise TokenRefused("invalid_request", "token is missing.")
    with transaction.atomic():
        return _ask_toolkit("create_revocation_response", request, form)


def read_form(request: HttpRequest) -> dict[str, str]:
    """The parameters of a token request that have a value, with the client of the Authorization header checked.

    Raises TokenRefused for what is no form, has a repeated parameter, a NUL or a bad percent-encoding.
    """
    media = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if media != FORM:
        raise TokenRefused("invalid_request", f"The body must be {FORM}.")
    if request.META.get("QUERY_STRING"):
        raise TokenRefused("invalid_request", "Parameters belong into the body.")
    try:
        body = body_of(request)
    except (RequestDataTooBig, MalformedRequest) as unreadable:
        raise TokenRefused("invalid_request", "The body cannot be read.") from unreadable
    if PERCENT.search(body):
        raise TokenRefused("invalid_request", "A percent sign must be followed by two hexadecimal digits.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as bad:
        raise TokenRefused("invalid_request", "The body is no form in UTF-8.") from bad
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRefused("invalid_request", "A parameter is repeated.")
    if any(UNSTORABLE.search(text) or len(text) > LONGEST_VALUE for pair in pairs for text in pair):
        raise TokenRefused("invalid_request", "A parameter has a value that nothing can have.")
    # Section 3.1: a parameter without a value counts as left out.
    form = {name: value for name, value in form.items() if value and name in KNOWN}
    _check_client(request, form)
    return form


def token_error(
    error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """An error answer of RFC 6749, section 5.2. With 401 goes the way in which a client may prove itself."""
    body = msgspec.json.encode({"error": error, "error_description": description})
    told = {**NO_STORE, **(CHALLENGE if status == 401 else {}), **(headers or {})}
    return HttpResponse(body, status=status, content_type="application/json", headers=told)


def _check_client(request: HttpRequest, form: dict[str, str]) -> None:
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        if not form.get("client_id"):
            raise TokenRefused("invalid_client", "client_id is missing.", status=401)
        return
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True).decode("utf-8")
    except (UnicodeError, binascii.Error):
        decoded = ""
    if scheme.lower() != "basic" or ":" not in decoded or UNSTORABLE.search(decoded) or len(header) > 4096:
        raise TokenRefused(
            "invalid_client",
            "The Authorization header of this door is Basic, with the client's id and secret.",
            status=401,
        )
    if "client_secret" in form:
        raise TokenRefused("invalid_request", "A client proves itself in one way only.")
    # Else the toolkit, finding the header wrong, would take the name in the form for enough.
    form.pop("client_id", None)


def _ask_toolkit(method: str, request: HttpRequest, form: dict[str, str]) -> HttpResponse:
    kwargs = oauth2_settings.server_kwargs
    server = LegacyApplicationServer(oauth2_settings.OAUTH2_VALIDATOR_CLASS(), **kwargs)
    headers = {"Content-Type": FORM}
    if "HTTP_AUTHORIZATION" in request.META:
        headers["HTTP_AUTHORIZATION"] = headers["Authorization"] = request.META["HTTP_AUTHORIZATION"]
    try:
        told, body, status = getattr(server, method)(
            request.path, http_method="POST", body=urlencode(list(form.items())), headers=headers
        )
    except OAuth2Error as error:
        told, body, status = error.headers, error.json, error.status_code
    answer = HttpResponse(body or "", status=status, content_type="application/json")
    # The toolkit's challenge names the scheme of the API, which is not the one that a client proves itself with.
    challenge = CHALLENGE if status == 401 else {}
    for name, value in {**NO_STORE, **cast(Mapping[str, str], told), **challenge}.items():
        answer[name] = value
    return answer
