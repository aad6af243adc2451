# A commit that failed at the leader may come back when its disk is opened again: nothing is lost or doubled.
servers 3 available
start 1 2 3
run 2000
expect serving 1
submit 1
deliver 1 2
deliver 1 3
store 2
store 3
fail-store 1 durable
expect exit 1 failed
within 200 expect serving 2
start 1
run 2000
expect in-sync 2 1 2 3
expect same logs
