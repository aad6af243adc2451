# A leader that restarts at once does not go on in its old epoch, and what was in flight is not lost.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
crash 1
start 1
run 2000
expect same logs
submit 2
run 200
expect answered 1
expect same logs
