# A server that has stored its own join is not in sync before it knows that the join is committed.
servers 3 available
start 1 2 3
run 2000
crash 3
run 500
stall 1
start 3
run 500
expect joining 3
expect mode 3 recovering
expect in-sync 1 1 2
