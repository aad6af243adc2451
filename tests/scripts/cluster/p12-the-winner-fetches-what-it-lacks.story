# A candidate that lacks an entry of its promiser fetches it before it leads.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 2
submit 1
run 100
expect ends 3 3
expect ends 2 2
crash 1
crash 2
run 2000
expect serving nobody
start 2
run 1500
expect serving 2
expect ends 2 4
expect ends 3 4
