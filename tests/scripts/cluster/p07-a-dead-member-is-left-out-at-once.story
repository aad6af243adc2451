# A member whose connects are refused is left out without waiting for a timeout.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 60
expect in-sync 1 1 2
submit 1
run 60
expect answered 1
