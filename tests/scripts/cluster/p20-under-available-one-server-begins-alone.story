# Under available the lowest blank server begins alone after a while, and the others join.
servers 3 available
start 2
run 2000
expect serving nobody
run 2500
expect serving 2
start 1 3
run 2000
expect serving 2
expect in-sync 2 1 2 3
