"""The settings of every Souk process, and the only place that reads the environment.

`docs/operations.md` explains each variable. Importing this module needs neither a database nor Django's set-up, so that
the commands which start the embedded stack can read it too.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from environs import Env, validate
from psycopg.conninfo import conninfo_to_dict

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
env = Env()

HOME = Path(env.str("SOUK_HOME", "") or (CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()) / ".souk")
HOME = HOME.expanduser().absolute()
# What was set by the operator, before the running embedded stack tells its own addresses.
EXTERNAL = frozenset(
    name for name in ("SOUK_DATABASE_URL", "SOUK_REDIS_URL", "SOUK_CACHE_URL", "SOUK_SEARCH_URL") if env.str(name, "")
)
STACK_ENVIRONMENT = HOME / "run" / "environment"
env.read_env(str(STACK_ENVIRONMENT), recurse=False)

PROCESS = env.str("SOUK_PROCESS", "api", validate=validate.OneOf(["api", "live", "worker", "clock", "command"]))
PORT = env.int("SOUK_PORT", 8000, validate=validate.Range(min=0, max=65535))
LIVE_PORT = env.int("SOUK_LIVE_PORT", 8001, validate=validate.Range(min=0, max=65535))
DATABASE_URL = env.str("SOUK_DATABASE_URL", "")
REDIS_URL = env.str("SOUK_REDIS_URL", "")
CACHE_URL = env.str("SOUK_CACHE_URL", "")
DATA = Path(env.str("SOUK_DATA", str(CHECKOUT.parent / "shared" / "data")))

ORDER_HOLD = timedelta(seconds=env.int("SOUK_ORDER_HOLD_SECONDS", 300, validate=validate.Range(min=1, max=300)))
MAX_HOLDS_PER_USER = env.int("SOUK_MAX_HOLDS_PER_USER", 50, validate=validate.Range(min=1))
RATE_LIMITS = env.str("SOUK_RATE_LIMITS", "on", validate=validate.OneOf(["on", "off"])) == "on"
ACCESS_TOKEN_SECONDS = env.int("SOUK_ACCESS_TOKEN_SECONDS", 3600, validate=validate.Range(min=1))
METRICS_TOKEN = env.str("SOUK_METRICS_TOKEN", "")

DEBUG = env.bool("SOUK_DEBUG", False)
# Without a key of its own a process can do nothing that another one must understand: the embedded stack makes one and
# keeps it in its home, every other installation sets SOUK_SECRET_KEY.
SECRET_KEY = env.str("SOUK_SECRET_KEY", "") or secrets.token_urlsafe(48)
ALLOWED_HOSTS = env.list("SOUK_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])

ROOT_URLCONF = "souk.urls"
WSGI_APPLICATION = "souk.wsgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "oauth2_provider",
    "souk.kit",
    "souk.eventlog",
    "souk.accounts",
    "souk.stock",
    "souk.catalog",
    "souk.payments",
    "souk.search",
    "souk.orders",
    "souk.reactions",
    "souk.web",
]
MIDDLEWARE = [
    "souk.kit.request.RequestContext",
]


def database(url: str) -> dict[str, Any]:
    """Django's settings of the PostgreSQL at `url` (a libpq URI); an empty one names no server and connects nowhere."""
    at = conninfo_to_dict(url or "postgresql://souk@127.0.0.1:1/souk")
    patience = 30 if PROCESS in ("worker", "clock") else 10
    limits = {
        "lock_timeout": "3s",
        "statement_timeout": f"{patience}s",
        "idle_in_transaction_session_timeout": f"{patience}s",
    }
    if PROCESS == "command":
        limits = {}
    return {
        "ENGINE": "souk.kit.postgresql",
        "HOST": at.pop("host", ""),
        "PORT": at.pop("port", ""),
        "NAME": at.pop("dbname", "souk"),
        "USER": at.pop("user", ""),
        "PASSWORD": at.pop("password", ""),
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            **at,
            "application_name": f"souk {PROCESS}",
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            **({"transaction_timeout": f"{patience}s"} if limits else {}),
            "prepare_threshold": 5,
            **({"pool": {"min_size": 1, "max_size": 5, "timeout": 5, "max_idle": 300}} if url else {}),
        },
    }


DATABASES = {"default": database(DATABASE_URL)}

AUTHENTICATION_BACKENDS = ["souk.accounts.authentication.PasswordBackend"]
# User names are unique without regard to case, by a constraint on lower(username) that the check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
PASSWORD_HASHERS = ["souk.accounts.hashing.OwaspArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

OAUTH2_PROVIDER = {
    "ACCESS_TOKEN_EXPIRE_SECONDS": ACCESS_TOKEN_SECONDS,
    "REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 24 * 3600,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ROTATE_REFRESH_TOKEN": True,
    "PKCE_REQUIRED": True,
    "SCOPES": {"souk": "Everything that the account may do"},
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    # First-party clients were asked for with the password grant: docs/decisions/0013-passwords-and-opaque-tokens.md.
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": False,
    "OAUTH2_VALIDATOR_CLASS": "souk.accounts.tokens.SoukValidator",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["souk.accounts.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "souk.kit.problem.problem_of_exception",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
LOGGING_CONFIG = None
