# A server that does not answer is left out after the failure timeout and not before.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 3
cut 2 3
run 800
expect in-sync 1 1 2 3
run 600
expect in-sync 1 1 2
expect serving 1
