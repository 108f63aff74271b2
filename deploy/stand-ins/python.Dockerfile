# Stands in for python:3.13-slim-trixie: Debian's own Python where that image has its. souk-stand-in/debian is made by
# deploy/try-compose.sh with debootstrap.
FROM souk-stand-in/debian
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends python3 python3-venv ca-certificates >/dev/null \
    && rm -rf /var/lib/apt/lists/*
