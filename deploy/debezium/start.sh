#!/bin/bash
# Runs Debezium Server in its container: secrets from files into the environment, then the image's own start.
set -eu
secret() { cat "/run/secrets/$1"; }
DEBEZIUM_SOURCE_DATABASE_PASSWORD=$(secret cdc_password)
DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_PASSWORD=$DEBEZIUM_SOURCE_DATABASE_PASSWORD
DEBEZIUM_SINK_REDIS_PASSWORD=$(secret streams_password)
export DEBEZIUM_SOURCE_DATABASE_PASSWORD DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_PASSWORD DEBEZIUM_SINK_REDIS_PASSWORD

cd /debezium
./run.sh &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server"; exit 143' TERM INT
code=0
wait "$server" || code=$?
# Before `souk migrate` and `souk cdc ensure` there is nothing to read, and the server ends. It is started again; a JVM
# that boots without a pause would keep a core busy.
echo "Debezium Server ended with code $code. Without the publication and the slot of 'souk migrate' and 'souk cdc ensure' it cannot run; again in 15 s."
sleep 15 &
wait $!
exit 1
