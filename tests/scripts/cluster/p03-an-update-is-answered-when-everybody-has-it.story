# An update is answered when all in-sync servers have it on disk.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 3
submit 1
run 500
expect answered 0
expect refuses 1
run 3000
expect answered 1
expect in-sync 1 1 2
