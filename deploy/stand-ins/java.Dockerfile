# Below Debezium Server and OpenSearch: the JDK 21 that both images bring.
FROM souk-stand-in/debian
RUN mkdir -p /usr/share/man/man1 && apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends openjdk-21-jdk-headless curl ca-certificates >/dev/null \
    && rm -rf /var/lib/apt/lists/*
