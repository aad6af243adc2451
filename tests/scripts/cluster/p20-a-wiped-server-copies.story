# A wiped leader comes back blank, and copies instead of overwriting.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
run 100
crash 1
wipe 1
start 1
run 3000
expect answered 1
expect in-sync 1 1 2 3
expect same logs
