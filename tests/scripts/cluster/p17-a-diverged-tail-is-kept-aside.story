# An entry that only a crashed server stored is kept aside when the others went on without it.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 2
submit 1
settle
expect ends 3 3
expect ends 2 2
crash 3
crash 1
heal
start 1
run 3000
expect serving 2
expect ends 1 3
start 3
run 9000
expect said 3 they were never acknowledged
expect aside 3 1
expect in-sync 2 1 2 3
expect same logs
