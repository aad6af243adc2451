# A member that comes back empty just when the leader dies cannot promise, and the one that has everything leads without it.
servers 3 available
start 1 2 3
run 2000
expect in-sync 1 1 2 3
submit 1
settle
expect answered 1
vanish 3
wipe 3
vanish 1
start 3
run 1000
expect serving 2
expect everything
within 1000 expect in-sync 2 2 3
start 1
run 1000
expect in-sync 2 1 2 3
