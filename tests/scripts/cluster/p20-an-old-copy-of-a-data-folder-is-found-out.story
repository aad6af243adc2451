# An old copy of a data folder begins a life that looks like an earlier one, is found out, and takes a snapshot.
servers 3 available
start 1 2 3
run 2000
expect serving 1
copy 3
crash 3
run 300
start 3
run 2000
expect in-sync 1 1 2 3
submit 1
run 100
submit 1
run 300
crash 3
put-back 3
start 3
run 3000
expect said 3 older than what the others remember
expect in-sync 1 1 2 3
expect same logs
expect everything
