# An eviction during the wait before a server comes back, by a leader that took its promise, makes it no longer.
servers 5 majority
start 1 2 3 4 5
run 2000
expect serving 1
expect in-sync 1 1 2 3 4 5
disk 5 low
run 300
submit 1
run 100
expect in-sync 1 1 2 3 4
crash 1
run 200
expect serving 2
expect in-sync 2 2 3 4
disk 5 free
run 1200
expect in-sync 2 2 3 4 5
