# An old copy of a data folder that lacks several lives is let in again.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
copy 3
crash 3
start 3
run 500
crash 3
start 3
run 500
crash 3
start 3
run 2000
expect in-sync 1 1 2 3
submit 1
run 300
crash 3
put-back 3
start 3
run 3000
expect said 3 older than what the others remember
expect in-sync 1 1 2 3
expect same logs
