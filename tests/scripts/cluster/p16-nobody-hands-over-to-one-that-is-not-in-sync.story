# Nobody hands over to a server that is not in sync, to itself or to one that is not there.
servers 3 available
start 1 2 3
run 2000
expect serving 1
crash 3
run 500
expect in-sync 1 1 2
hand-over 1 3
hand-over 1 1
hand-over 1 9
hand-over 2 1
expect serving 1
expect said 1 server 3 is not in sync
expect takes 1
submit 1
hand-over 1 2
crash 2
run 1000
expect serving 1
expect said 1 keeps the lead: server 2 is not in sync any more
expect takes 1
