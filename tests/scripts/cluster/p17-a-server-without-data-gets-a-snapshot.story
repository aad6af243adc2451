# A server without data gets a snapshot when the log is long.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
wipe 3
submit 1 1500
run 100
start 3
run 3000
expect said 3 a snapshot up to entry
expect in-sync 1 1 2 3
expect same logs
expect aside 3 0
