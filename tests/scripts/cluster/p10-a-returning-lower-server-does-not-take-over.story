# A lower server that comes back joins and does not take the lead.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 1
run 500
start 1
run 2000
expect serving 2
expect in-sync 2 1 2 3
expect mode 1 follower
