# An old leader that is restarted follows the new one; there are never two.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 1
run 300
expect serving 2
submit 2
run 100
start 1
run 100
expect serving 2
run 2000
expect serving 2
expect same logs
