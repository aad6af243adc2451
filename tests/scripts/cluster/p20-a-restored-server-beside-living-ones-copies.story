# A server that was restored from a backup promises nothing with its old log, and copies what it lacks.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
crash 1
copy 1
run 100
start 1
run 1000
expect serving 2
expect in-sync 2 1 2 3
crash 3
run 300
submit 2
settle
expect answered 2
crash 2
crash 1
restore 1
start 1
start 3
run 3000
expect mode 1 blank
expect serving nobody
start 2
run 3000
expect in-sync 2 1 2 3
expect same logs
expect everything
