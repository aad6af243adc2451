# Who comes back with other tables is not taken in, and has no say against the leader.
servers 3 available
start 1 2 3
run 2000
crash 2 3
run 300
expect in-sync 1 1
submit 1
settle
expect answered 1
spoil 3
start 3
run 500
expect exit 3 failed
expect serving 1
submit 1
settle
expect answered 2
start 2
run 1000
expect in-sync 1 1 2
