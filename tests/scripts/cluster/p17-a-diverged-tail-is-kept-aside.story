# An entry that only a crashed server stored is kept aside when the others went on without it.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 2
submit 1
run 100
expect ends 3 3
crash 3
crash 1
start 1
run 3000
expect serving 1
expect ends 1 4
start 3
run 9000
expect said 3 they were never acknowledged
expect aside 3 1
expect in-sync 1 1 2 3
expect same logs
