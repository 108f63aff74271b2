"""Whatever is sent to the token doors or in an Authorization header: an error of the standard, never a 500."""

from __future__ import annotations

import base64

from tests.books import checksums, rows_of
from tests.callers import Answer, Api, SignedIn

FORM = "application/x-www-form-urlencoded"
PASSWORD_FORM = b"grant_type=password&username=seller&password=correct+horse+battery&client_id=souk-web"
REFRESH_FORM = b"grant_type=refresh_token&refresh_token=nonsense&client_id=souk-web"
ERRORS = {"invalid_request", "invalid_client", "invalid_grant", "invalid_scope", "unsupported_grant_type"}
BAD_VALUES = [b"", b"%00", b"%zz", b"%", b"%ff%fe", b"%ED%A0%80", b"\xff", b"a" * 5000, b"%E2%80%AE", b"1" + b"0" * 400]


def bad_forms() -> list[tuple[bytes, str]]:
    """Every field of every grant, left out, repeated, and with every bad value."""
    forms: list[tuple[bytes, str]] = []
    for whole in (PASSWORD_FORM, REFRESH_FORM):
        pairs = [pair.split(b"=") for pair in whole.split(b"&")]
        for place, (name, value) in enumerate(pairs):
            rest = pairs[:place] + pairs[place + 1 :]
            kept = b"&".join(b"=".join(pair) for pair in rest)
            forms.append((kept, f"without {name.decode()}"))
            forms.append((whole + b"&" + name + b"=" + value, f"twice {name.decode()}"))
            forms += [(kept + b"&" + name + b"=" + bad, f"{name.decode()}={bad[:12]!r}") for bad in BAD_VALUES]
    forms += [
        (PASSWORD_FORM.replace(b"=password", b"=client_credentials"), "another grant"),
        (b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=souk-web", "the device grant"),
        (b"grant_type=authorization_code&code=x&client_id=souk-web", "a code"),
        (PASSWORD_FORM + b"&scope=everything", "another scope"),
        (PASSWORD_FORM + b"&client_secret=x", "a secret"),
        (PASSWORD_FORM.replace(b"correct", b"wrong"), "another password"),
        (b"&".join(b"f%d=1" % number for number in range(60)), "sixty fields"),
        (b"", "nothing"),
        (b"&&&===", "signs"),
        (b"x" * 300_000, "too much"),
    ]
    return forms


def is_error_of_standard(answer: Answer) -> bool:
    return (
        answer.status in (400, 401)
        and answer.headers["Content-Type"] == "application/json"
        and answer.headers["Cache-Control"] == "no-store"
        and answer.body["error"] in ERRORS
    )


def test_every_bad_token_request_gets_an_error_of_the_standard_and_changes_nothing(seller: SignedIn) -> None:
    before = checksums()
    answers = {why: Api().send("POST", "//oauth/token", body, content_type=FORM) for body, why in bad_forms()}
    assert {why: answer for why, answer in answers.items() if not is_error_of_standard(answer)} == {}
    assert checksums() == before


def test_only_a_form_is_read(seller: SignedIn) -> None:
    media = ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "nonsense"]
    answers = [
        Api().send("POST", path, PASSWORD_FORM, content_type=one)
        for path in ("//oauth/token", "//oauth/revoke")
        for one in media
    ]
    assert {(answer.status, answer.body["error"]) for answer in answers} == {(400, "invalid_request")}


def test_a_revocation_without_a_token_or_client_is_refused(seller: SignedIn) -> None:
    def refusal(body: bytes) -> tuple[int, str]:
        answer = Api().send("POST", "//oauth/revoke", body, content_type=FORM)
        return answer.status, answer.body["error"]

    assert refusal(b"client_id=souk-web") == (400, "invalid_request")
    assert refusal(b"token=&client_id=souk-web") == (400, "invalid_request")
    assert refusal(b"token=%00&client_id=souk-web") == (400, "invalid_request")
    assert refusal(b"token=x") == (401, "invalid_client")


def test_parameters_in_the_address_are_refused_because_addresses_are_logged(seller: SignedIn) -> None:
    refused = Api().send("POST", "//oauth/token?username=seller", PASSWORD_FORM, content_type=FORM)
    assert (refused.status, refused.body["error"]) == (400, "invalid_request")


def test_the_token_door_answers_to_post_alone(seller: SignedIn) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        refused = Api().send(method, "//oauth/token")
        assert (refused.status, refused.headers["Allow"], refused.body["error"]) == (405, "POST", "invalid_request")


BASIC = [
    "Basic",
    "Basic ",
    "Basic %%%",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"a\x00b:c").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe:c").decode(),
    "Basic " + base64.b64encode(b"nobody:%00").decode(),
    "Basic " + base64.b64encode(b"a:" + b"b" * 10_000).decode(),
    "Bearer abc",
    "Basic é",
]


def test_a_client_that_cannot_be_read_is_an_invalid_client(seller: SignedIn) -> None:
    answers = {
        header: Api().send("POST", "//oauth/token", PASSWORD_FORM, content_type=FORM, headers={"Authorization": header})
        for header in BASIC
    }
    refusals = {header: (answer.status, answer.body["error"]) for header, answer in answers.items()}
    assert refusals == dict.fromkeys(BASIC, (401, "invalid_client"))


def test_a_client_proves_itself_in_one_way_only(seller: SignedIn) -> None:
    header = "Basic " + base64.b64encode(b"souk-web:").decode()
    body = PASSWORD_FORM + b"&client_secret=x"
    refused = Api().send("POST", "//oauth/token", body, content_type=FORM, headers={"Authorization": header})
    assert (refused.status, refused.body["error"]) == (400, "invalid_request")


def test_every_401_of_a_token_door_says_how_a_client_proves_itself(seller: SignedIn) -> None:
    wrong_secret = {"Authorization": "Basic " + base64.b64encode(b"souk-web:wrong").decode()}
    answers = [
        Api().send("POST", path, body, content_type=FORM, headers=headers)
        for path in ("//oauth/token", "//oauth/revoke")
        for body, headers in (
            (PASSWORD_FORM.replace(b"souk-web", b"nobody") + b"&token=x", {}),
            (PASSWORD_FORM.replace(b"client_id", b"other") + b"&token=x", {}),
            (PASSWORD_FORM + b"&token=x", wrong_secret),
            (PASSWORD_FORM + b"&token=x", {"Authorization": "Bearer x"}),
        )
    ]
    heard = {(answer.status, answer.body["error"], answer.headers["WWW-Authenticate"]) for answer in answers}
    assert heard == {(401, "invalid_client", 'Basic realm="souk"')}


STRANGE = b"&resource=http://[&redirect_uri=javascript:1&code_verifier=%E2%80%AE&claims={&client_assertion=x&nonce="


def test_parameters_that_nobody_knows_are_ignored_and_empty_ones_count_as_left_out(seller: SignedIn) -> None:
    given = Api().send("POST", "//oauth/token", PASSWORD_FORM + STRANGE + b"&scope=&client_secret=", content_type=FORM)
    assert (given.status, given.body["scope"]) == (200, "souk")
    assert rows_of("SELECT DISTINCT resource FROM oauth2_provider_accesstoken") == [("[]",)]
    body = f"grant_type=refresh_token&refresh_token={seller.refresh_token}&client_id=souk-web".encode()
    assert Api().send("POST", "//oauth/token", body + STRANGE, content_type=FORM).status == 200
    missing = Api().send("POST", "//oauth/token", PASSWORD_FORM.replace(b"=seller", b"="), content_type=FORM)
    assert (missing.status, missing.body["error"]) == (400, "invalid_request")


def test_the_metadata_are_read_and_nothing_else(anonymous: Api) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = anonymous.send(method, "//.well-known/oauth-authorization-server")
        assert (refused.status, refused.code) == (405, "method_not_allowed")
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    asked = anonymous.send("OPTIONS", "//.well-known/oauth-authorization-server")
    assert (asked.status, asked.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


BROKEN = [
    "",
    "Bearer",
    "Bearer ",
    "bearer  ",
    "Token {token}",
    "Basic {token}",
    "{token}",
    "Bearer {token} {token}",
    "Bearer {token},Bearer {token}",
    "Bearer {token}, Bearer {token}",
    "Bearer\t{token}",
    "Bearer é",
    "Bearer \x00",
    "Bearer " + "a" * 10_240,
    "Bearer null",
    "Bearer {token}=",
]


def test_a_broken_authorization_header_is_401_even_where_no_token_is_needed(seller: SignedIn) -> None:
    for shape in BROKEN:
        for path in ("/me", "/products"):
            refused = Api().get(path, headers={"Authorization": shape.format(token=seller.token)})
            assert (refused.status, refused.code) == (401, "not_authenticated"), shape
            assert refused.headers["WWW-Authenticate"].startswith("Bearer ")


def test_the_scheme_is_read_whatever_its_case(seller: SignedIn) -> None:
    assert Api().get("/me", headers={"Authorization": f"bEaReR {seller.token}"}).status == 200


def test_who_asks_is_judged_before_the_body(anonymous: Api) -> None:
    deep = b"[" * 100_000
    assert anonymous.send("POST", "/products", deep, headers={"Authorization": "Bearer nonsense"}).status == 401
    assert anonymous.send("POST", "/products", deep).status == 401
