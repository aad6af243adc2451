# A follower that heard of no broken stream looks for the leader when another one lost it.
servers 3 available
start 1 2 3
run 2000
expect serving 1
vanish 1
ended 3 1
within 0 expect serving 2
