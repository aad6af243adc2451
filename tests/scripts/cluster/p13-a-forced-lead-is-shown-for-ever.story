# An operator may force the lead; the status says so, and nobody's entries are overwritten.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 500
submit 1
run 100
crash 2
crash 1
start 3
run 3000
expect serving nobody
force 3
run 500
expect serving 3
expect forced 3
start 1 2
run 8000
expect in-sync 3 1 2 3
expect aside 1 1
expect aside 2 1
expect forced 1
