# Stands in for caddy:2.10-alpine: Debian's Caddy 2.6, whose buffer has another name (SOUK_CADDY_BUFFERS).
FROM souk-stand-in/debian
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends caddy wget ca-certificates >/dev/null \
    && rm -rf /var/lib/apt/lists/* && mkdir -p /data/caddy /config/caddy
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
