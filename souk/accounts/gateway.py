"""The mail server, through Django's back end: SOUK_MAIL_URL, or files below SOUK_HOME/mail when it is not set."""

from __future__ import annotations

from pathlib import Path
from smtplib import SMTPException

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage

FILES = "django.core.mail.backends.filebased.EmailBackend"
PASSWORD_RESET = """\
Hello {username},

somebody, we hope it was you, asked to set a new password for your account. This token does it, once, within an hour:

{token}

If it was not you, nothing has happened and nothing will: throw this mail away.
"""
VERIFICATION = """\
Hello {username},

this token proves that you read the mail of this address. It is good for three days:

{token}

If you have no account with us, somebody mistyped their address: throw this mail away.
"""


# The token stands behind #: a browser sends that to nobody, so no log has it.
LINK = """
Or open this address, where it is filled in already:

{address}
"""


class MailRefused(Exception):
    """The mail could not be handed over."""


def send_password_reset(*, address: str, username: str, token: str) -> None:
    """Raises MailRefused."""
    body = PASSWORD_RESET.format(username=username, token=token) + _link("reset", token)
    _send(address, "Set a new password", body)


def send_verification(*, address: str, username: str, token: str) -> None:
    """Raises MailRefused."""
    body = VERIFICATION.format(username=username, token=token) + _link("verify", token)
    _send(address, "Is this your address?", body)


def _link(place: str, token: str) -> str:
    return LINK.format(address=f"{settings.PUBLIC_URL}/{place}#{token}") if settings.PUBLIC_URL else ""


def _send(address: str, subject: str, body: str) -> None:
    try:
        if settings.EMAIL_BACKEND == FILES:
            # Made here, because Django's back end would let everybody read what is in it.
            Path(settings.EMAIL_FILE_PATH).mkdir(mode=0o700, parents=True, exist_ok=True)
        EmailMessage(subject=subject, body=body, to=[address]).send()
    except (SMTPException, OSError, ImproperlyConfigured) as error:
        # The kind alone: the text of an error may repeat the address.
        raise MailRefused(type(error).__name__) from error
