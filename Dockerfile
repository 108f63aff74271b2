# Souk as an image: the locked dependencies and Souk's wheel in one virtual environment, nothing else. The API unless
# another command is named: `live`, `worker`, `clock`, `migrate`, ... Everything it is told comes from the environment,
# secrets from files: SOUK_SECRET_KEY_FILE=/run/secrets/secret_key and so on (docs/operations.md).
ARG PYTHON_IMAGE=python:3.13.14-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# The same as .ci/setup takes.
ARG UV_VERSION=0.13.9
ENV UV_PROJECT_ENVIRONMENT=/souk UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /uv && /uv/bin/pip install --quiet "uv==${UV_VERSION}"
WORKDIR /src
# Dependencies change seldom, and are a layer of their own.
COPY pyproject.toml uv.lock ./
RUN /uv/bin/uv sync --quiet --frozen --no-dev --no-install-project
COPY . .
# Builds the wheel, with the guide in it, and installs that.
RUN /uv/bin/uv sync --quiet --frozen --no-dev --no-editable

FROM ${PYTHON_IMAGE}
# A number, so that whoever runs the image can see that it is not root. What installs packages is not needed any more.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/souk --shell /usr/sbin/nologin souk \
    && install -d -o souk -g souk -m 0750 /var/lib/souk /run/souk \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip*
COPY --from=build /souk /souk
ENV PATH=/souk/bin:$PATH SOUK_HOME=/var/lib/souk PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/souk
EXPOSE 8000 8001
# Of the API. Other processes have others (compose.yaml).
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD \
    ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["souk"]
CMD ["api", "--host", "0.0.0.0", "--port", "8000"]
