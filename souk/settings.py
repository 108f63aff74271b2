"""The settings of every Souk process, and the only place that reads the environment.

`docs/operations.md` explains each variable. Importing this module needs neither a database nor Django's set-up, so that
the commands which start the embedded stack can read it too.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from environs import EnvError, FileAwareEnv, validate
from psycopg.conninfo import conninfo_to_dict

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
# NAME_FILE=/run/secrets/name says where the value of NAME stands, for every NAME: secrets of containers come so.
env = FileAwareEnv(strip_whitespace=True)

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
# Where browsers reach the live process; empty: the same host at LIVE_PORT.
LIVE_URL = env.str("SOUK_LIVE_URL", "").rstrip("/")
# Where people reach the shop front, for links in mails; empty: no links. Never taken from a request, which may lie.
PUBLIC_URL = env.str("SOUK_PUBLIC_URL", "").rstrip("/")
DATABASE_URL = env.str("SOUK_DATABASE_URL", "")
# A streaming replica that answers strangers, and how far it may be behind.
DATABASE_REPLICA_URL = env.str("SOUK_DATABASE_REPLICA_URL", "")
REPLICA_LAG = timedelta(seconds=env.float("SOUK_REPLICA_LAG_SECONDS", 5, validate=validate.Range(min=0.1)))
REDIS_URL = env.str("SOUK_REDIS_URL", "")
CACHE_URL = env.str("SOUK_CACHE_URL", "")
# OpenSearch or Elasticsearch: https://user:password@host:9200. Without it PostgreSQL searches.
SEARCH_URL = env.str("SOUK_SEARCH_URL", "")
SEARCH_CA_FILE = env.str("SOUK_SEARCH_CA_FILE", "")
SEARCH_LAG = timedelta(seconds=env.float("SOUK_SEARCH_LAG_SECONDS", 10, validate=validate.Range(min=1)))
SEARCH_SHARDS = env.int("SOUK_SEARCH_SHARDS", 1, validate=validate.Range(min=1))
SEARCH_REPLICAS = env.int("SOUK_SEARCH_REPLICAS", 0, validate=validate.Range(min=0))
SEARCH_REFRESH = env.str("SOUK_SEARCH_REFRESH", "500ms")
DATA = Path(env.str("SOUK_DATA", str(CHECKOUT.parent / "shared" / "data")))

ORDER_HOLD = timedelta(seconds=env.int("SOUK_ORDER_HOLD_SECONDS", 300, validate=validate.Range(min=1, max=300)))
MAX_HOLDS_PER_USER = env.int("SOUK_MAX_HOLDS_PER_USER", 50, validate=validate.Range(min=1))
RATE_LIMITS = env.str("SOUK_RATE_LIMITS", "on", validate=validate.OneOf(["on", "off"])) == "on"
# Name -> (quota, seconds). docs/security.md says what each guards; a failed sign-in counts ten times.
RATE_QUOTAS = {
    "reads": (12_000, 60),  # per address
    "writes": (3_000, 60),  # per user
    "registrations": (1_000, 600),  # per address
    "sign-in-address": (1_000, 600),
    "sign-in-account": (100, 600),
    "verification-mails": (10, 3600),  # to one e-mail address
}
_quotas: dict[str, str] = env.dict("SOUK_RATE_QUOTAS", {}, subcast_values=str)
for _limit, _quota in _quotas.items():
    _most, _, _seconds = _quota.partition("/")
    if _limit not in RATE_QUOTAS or not (_most.isdecimal() and _seconds.isdecimal() and int(_most) and int(_seconds)):
        raise EnvError(f"SOUK_RATE_QUOTAS takes reads=12000/60 and the like, for {', '.join(RATE_QUOTAS)}.")
    RATE_QUOTAS[_limit] = (int(_most), int(_seconds))
# Networks whose X-Forwarded-For is believed.
TRUSTED_PROXIES = [str(ip_network(network)) for network in env.list("SOUK_TRUSTED_PROXIES", [], subcast=str)]
# smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465
MAIL_URL = env.str("SOUK_MAIL_URL", "")
CORS_ORIGINS = [origin.rstrip("/") for origin in env.list("SOUK_CORS_ORIGINS", [], subcast=str)]
ACCESS_TOKEN_SECONDS = env.int("SOUK_ACCESS_TOKEN_SECONDS", 3600, validate=validate.Range(min=1))
# Threads of one API process; each keeps a connection to the database.
API_THREADS = env.int("SOUK_API_THREADS", 4, validate=validate.Range(min=1))
# Reads that one API process answers at once (souk/kit/turns.py).
READS_AT_ONCE = env.int("SOUK_READS_AT_ONCE", 1, validate=validate.Range(min=1))
METRICS_TOKEN = env.str("SOUK_METRICS_TOKEN", "")
# prometheus_client's own variable: the folder in which the processes of one machine count. The stack sets it.
METRICS_FOLDER = env.str("PROMETHEUS_MULTIPROC_DIR", "")
# Touched every second by worker and clock while all their threads live: for a container's health check.
ALIVE_FILE = env.str("SOUK_ALIVE_FILE", "")
# OpenTelemetry's own variables; its exporter and sampler read the others themselves. Off unless a collector is named.
_COLLECTED = any(env.str(f"OTEL_EXPORTER_OTLP_{name}", "") for name in ("ENDPOINT", "TRACES_ENDPOINT"))
TRACES = env.str(
    "OTEL_TRACES_EXPORTER", "otlp" if _COLLECTED else "none", validate=validate.OneOf(["none", "otlp", "console"])
)
_protocol = env.str("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "") or env.str("OTEL_EXPORTER_OTLP_PROTOCOL", "")
if env.str("OTEL_SDK_DISABLED", "").lower() == "true":
    TRACES = "none"
if TRACES == "otlp" and _protocol not in ("", "http/protobuf"):
    raise EnvError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {_protocol}: Souk sends traces as http/protobuf (port 4318).")
# How long events, and what hangs on them, are kept.
KEEP_EVENTS = timedelta(days=env.int("SOUK_KEEP_EVENTS_DAYS", 30, validate=validate.Range(min=1, max=3650)))
# The replication slot of change data capture, as Debezium is told it.
SLOT = env.str("DEBEZIUM_SOURCE_SLOT_NAME", "souk")
# Webhooks to this machine itself, over plain HTTP too: for trying them out, never for a server that strangers reach.
WEBHOOK_ALLOW_LOOPBACK = env.bool("SOUK_WEBHOOK_ALLOW_LOOPBACK", False)

DEBUG = env.bool("SOUK_DEBUG", False)
# The embedded stack makes one and keeps it in its home. No process that serves starts without one; a command that only
# looks gets a key of its own, with which it can do nothing that another process must understand.
GIVEN_SECRET_KEY = env.str("SOUK_SECRET_KEY", "")
SECRET_KEY = GIVEN_SECRET_KEY or secrets.token_urlsafe(48)
# Former keys, that still open what they sealed while it is sealed anew.
SECRET_KEY_FALLBACKS: list[str] = env.list("SOUK_SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env.list("SOUK_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])

ROOT_URLCONF = "souk.urls"
WSGI_APPLICATION = "souk.wsgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DATETIME_FORMAT = "Y-m-d H:i:s"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

INSTALLED_APPS = [
    "unfold",  # before Django's own pages, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "oauth2_provider",
    "souk.kit",
    "souk.eventlog",
    "souk.accounts",
    "souk.stock",
    "souk.catalog",
    "souk.bags",
    "souk.payments",
    "souk.search",
    "souk.webhooks",
    "souk.orders",
    "souk.reactions",
    "souk.web",
]
# The first does the work of Django's own for hosts, frames and security headers too (souk/kit/request.py).
MIDDLEWARE = [
    "souk.kit.request.RequestContext",
    "souk.kit.staff.Sessions",
    "souk.kit.staff.Forgery",
    "souk.kit.staff.Members",
    "souk.kit.staff.Messages",
]
if TRACES != "none":
    MIDDLEWARE.insert(0, "souk.kit.telemetry.RequestSpan")
if TRUSTED_PROXIES:
    MIDDLEWARE.insert(0, "souk.kit.ratelimit.ForwardedByProxies")
# The pages for staff alone; the API knows no cookies.
SESSION_COOKIE_NAME = "souk-staff"
SESSION_COOKIE_PATH = "/admin/"
SESSION_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_USE_SESSIONS = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
LOGIN_URL = "/admin/login/"
FORMAT_MODULE_PATH = ["souk.web.formats"]
# Served from the packages that bring them, without a step that collects them (souk/web/files.py).
STATIC_URL = "/static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PACKAGE / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
UNFOLD = {
    "SITE_TITLE": "Souk",
    "SITE_HEADER": "Souk",
    "SITE_SYMBOL": "storefront",
    # Without one the browser asks for /favicon.ico, and complains.
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/shop/icon.svg"}],
    "STYLES": ["/reading/pages/staff.css"],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "souk.web.dashboard.dashboard",
    "SIDEBAR": {"navigation": "souk.web.dashboard.navigation"},
}


# A server that went without a word (its host lost power, a cable was pulled) is noticed in 25 s, not in two hours,
# and after 5 s by who wants to connect. What the URL says of these counts instead.
GONE_SILENT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def database(url: str) -> dict[str, Any]:
    """Django's settings of the PostgreSQL at `url` (a libpq URI); an empty one names no server and connects nowhere."""
    at = conninfo_to_dict(url or "postgresql://souk@127.0.0.1:1/souk")
    # An API process has few threads that last, and each keeps its connection: taking one from a pool for every request
    # costs a tenth of the answer. The other processes have a thread per hand and per duty.
    lasting = PROCESS == "api"
    patience, most = (30, 16) if PROCESS in ("worker", "clock") else (10, 5)
    pool = {"min_size": 1, "max_size": most, "timeout": 5, "max_idle": 300}
    limits = {
        "lock_timeout": "3s",
        "statement_timeout": f"{patience}s",
        "idle_in_transaction_session_timeout": f"{patience}s",
        # Every statement of ours looks rows up by an index. Of a table that was small when PostgreSQL last counted its
        # rows it would read all of them instead, by plans that it keeps, until it counts again: for a young shop that
        # is most of an order's time.
        "enable_seqscan": "off",
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
        "CONN_MAX_AGE": None if lasting else 0,
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            **GONE_SILENT,
            **at,
            "application_name": f"souk {PROCESS}",
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            **({"transaction_timeout": f"{patience}s"} if limits else {}),
            "prepare_threshold": 5,
            **({"pool": pool} if url and not lasting else {}),
        },
    }


DATABASES = {"default": database(DATABASE_URL)}
if DATABASE_REPLICA_URL:
    DATABASES["replica"] = database(DATABASE_REPLICA_URL)
    DATABASES["replica"]["OPTIONS"].setdefault("connect_timeout", 2)
    DATABASE_ROUTERS = ["souk.kit.postgresql.reading.Router"]

AUTHENTICATION_BACKENDS = ["souk.accounts.authentication.PasswordBackend"]
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # user names are unique without regard to case, by a constraint that the check does not see
    "oauth2_provider.W002",  # the password grant: docs/decisions/0014-password-grant.md
    "security.W001",  # souk.kit.request sets the headers of SecurityMiddleware; a test holds them equal
    "security.W002",  # and X-Frame-Options
    "security.W003",  # forms of the pages for staff are protected by a subclass of it (souk.kit.staff.Forgery)
    "security.W010",  # the staff's cookie is marked as secure whenever the page came over TLS (souk.kit.staff)
    "security.W005",  # HSTS for other names of the domain is its owner's choice
    "security.W008",  # an API does not redirect a request that carries a token; the proxy may redirect pages
    "security.W021",  # and so is the preload list
]
# Sent over HTTPS only. Behind a proxy that ends TLS it must be one of SOUK_TRUSTED_PROXIES to say so.
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
PASSWORD_HASHERS = ["souk.accounts.hashing.OwaspArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

PASSWORD_GRANT = env.str("SOUK_PASSWORD_GRANT", "on", validate=validate.OneOf(["on", "off"])) == "on"
REFRESH_TOKEN_SECONDS = env.int("SOUK_REFRESH_TOKEN_SECONDS", 30 * 24 * 3600, validate=validate.Range(min=1))
OAUTH2_PROVIDER = {
    "ACCESS_TOKEN_EXPIRE_SECONDS": ACCESS_TOKEN_SECONDS,
    "REFRESH_TOKEN_EXPIRE_SECONDS": REFRESH_TOKEN_SECONDS,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ROTATE_REFRESH_TOKEN": True,
    "PKCE_REQUIRED": True,
    "SCOPES": {"souk": "Everything that the account may do"},
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    # The first-party client signs in with user name and password: docs/decisions/0014-password-grant.md.
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": not PASSWORD_GRANT,
    "OAUTH2_VALIDATOR_CLASS": "souk.accounts.tokens.SoukValidator",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["souk.accounts.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["souk.kit.ratelimit.RequestThrottle"],
    "EXCEPTION_HANDLER": "souk.kit.problem.problem_of_exception",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}

_mail = urlsplit(MAIL_URL)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if MAIL_URL else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = str(HOME / "mail")
EMAIL_HOST, EMAIL_PORT = _mail.hostname or "localhost", _mail.port or (465 if _mail.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.scheme == "smtps", _mail.scheme == "smtp" and _mail.username is not None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("SOUK_MAIL_FROM", "Souk <souk@localhost>")

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
LOGGING_CONFIG = None
