# When the leader dies, the lowest live in-sync server leads within 150 ms.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 1
run 150
expect serving 2
expect in-sync 2 2 3
