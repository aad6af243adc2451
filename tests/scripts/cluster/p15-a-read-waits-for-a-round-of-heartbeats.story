# A read is served after every member answered a heartbeat that was sent after it came.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
read 1
expect reads 0
settle
expect reads 1
cut 1 2
cut 1 3
read 1
run 700
expect reads 1
