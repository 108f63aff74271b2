#!/bin/bash
# Whether Debezium Server says that it is well. Its image need not have a program that speaks HTTP.
exec 3<>/dev/tcp/127.0.0.1/8089
printf 'GET /q/health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
