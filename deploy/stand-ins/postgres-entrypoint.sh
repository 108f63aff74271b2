#!/bin/bash
# What compose.yaml relies on of the start of PostgreSQL's image: the cluster made once, with the password from a file,
# hosts let in with a password, and the scripts of /docker-entrypoint-initdb.d run on a server that only has a socket.
set -Eeo pipefail
export PGDATA
mkdir -p "$PGDATA"
chmod 0700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    eval "initdb --username=postgres --pwfile=\"$POSTGRES_PASSWORD_FILE\" $POSTGRES_INITDB_ARGS"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    printf "\nlisten_addresses = '*'\nunix_socket_directories = '/run/postgresql'\n" >>"$PGDATA/postgresql.conf"
    export PGHOST=/run/postgresql
    pg_ctl -w start -o "$(printf '%q ' "${@:2}" -c listen_addresses=)"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        echo "running $script"
        . "$script"
    done
    pg_ctl -m fast -w stop
    unset PGHOST
fi
exec "$@"
