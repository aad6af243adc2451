# A follower that restarts within a heartbeat is taken out and in again, and misses nothing.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
crash 3
start 3
submit 1
run 1000
expect answered 2
expect in-sync 1 1 2 3
expect same logs
