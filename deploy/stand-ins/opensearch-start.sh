#!/bin/bash
set -eu
socat TCP-LISTEN:9200,fork,reuseaddr TCP:127.0.0.1:9201 &
exec java $OPENSEARCH_JAVA_OPTS -cp 'lib/*' org.codelibs.opensearch.runner.OpenSearchRunner \
    -basePath /usr/share/opensearch/data -numOfNode 1 -clusterName souk -baseHttpPort 9200
