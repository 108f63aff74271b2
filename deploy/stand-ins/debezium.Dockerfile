# Stands in for quay.io/debezium/server:3.6: the distribution from Maven in the same place, run by the same user.
FROM souk-stand-in/java
COPY --from=souk-stand-in/debezium-distribution --chown=185:0 /debezium-server /debezium
RUN install -d -o 185 -g 0 /debezium/data
