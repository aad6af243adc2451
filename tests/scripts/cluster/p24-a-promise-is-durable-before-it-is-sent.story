# A server that crashes right after its promise keeps it.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 1
settle
crash 3
start 3
within 2000 expect serving 2
expect in-sync 2 2 3
