# Whoever was promised may have led since: a recovering server waits for it, though no view names it.
# Without forgets-promised-to: I3.
servers 3 available seed 2
start 1 2 3
run 2000
crash 1 2
run 200
expect serving 3
start 1 2
run 3000
expect in-sync 3 1 2 3
crash 3
run 200
start 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 1
cut 1 2
run 1130
heal
crash 1
probed 2 1
probed 3 1
deliver 2 3
crash 3
lose
settle
expect serving 2
expect in-sync 2 2
submit 2
settle
expect answered 1
crash 2
start 1 3
run 3000
expect serving nobody
expect waits 3 2
start 2
run 3000
expect answered 1
expect same logs
