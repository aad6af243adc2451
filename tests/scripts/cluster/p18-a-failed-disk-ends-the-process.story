# A server whose disk fails stops at once and hands over.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
fail 1
expect exit 1 failed
run 200
expect serving 2
expect in-sync 2 2 3
