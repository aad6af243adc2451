# A server that lost only its own link to the leader does not depose it.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 3
run 3000
expect serving 1
expect in-sync 1 1 2
heal
run 2000
expect in-sync 1 1 2 3
expect serving 1
