# An emptied server that hears of a leader, and is not heard, begins no cluster of its own.
servers 2 available
start 1 2
run 2000
submit 1
settle
crash 2
within 300 expect in-sync 1 1
wipe 2
cut-way 2 1
start 2
run 5000
expect serving 1
heal
run 3000
expect in-sync 1 1 2
expect everything
expect same logs
