#!/bin/sh
# Says the time every half minute: any program can be an app.
while :; do
    date '+it is %H:%M:%S'
    sleep 30
done
