# Of two servers with different tables nobody knows whose are right: the leader ends, and nothing is answered.
servers 3 available
start 1 2 3
run 2000
crash 3
run 300
expect in-sync 1 1 2
spoil 2
submit 1
settle
expect exit 1 failed
expect answered 0
