# Under majority a stopped leader acknowledges nothing after it wakes.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
pause 1
run 3000
submit 2
run 100
expect answered 1
resume 1
run 1
expect serving 2
run 3000
expect in-sync 2 1 2 3
expect same logs
