# Under majority a lone server of three acknowledges nothing.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 2
cut 1 3
submit 1
run 5000
expect answered 0
expect serving 2
submit 2
run 100
expect answered 1
heal
run 9000
expect serving 2
expect in-sync 2 1 2 3
expect same logs
