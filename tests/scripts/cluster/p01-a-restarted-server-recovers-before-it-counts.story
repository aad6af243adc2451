# A server that restarts is Recovering, and in sync only after it was taken in again.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 2
run 500
expect in-sync 1 1 3
start 2
expect mode 2 recovering
run 1000
expect mode 2 follower
expect in-sync 1 1 2 3
expect same logs
