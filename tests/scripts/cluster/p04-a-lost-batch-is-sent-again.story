# A batch that got lost on the way is sent again and stored once.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
lose
run 1000
expect answered 1
expect in-sync 1 1 2 3
expect ends 2 3
expect same logs
