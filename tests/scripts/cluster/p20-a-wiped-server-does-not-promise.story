# Under majority a wiped server and a lagging one do not make a leader.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 300
submit 1
run 100
expect answered 1
crash 1
crash 2
wipe 2
start 2 3
run 8000
expect serving nobody
start 1
run 4000
expect in-sync 1 1 2 3
expect same logs
