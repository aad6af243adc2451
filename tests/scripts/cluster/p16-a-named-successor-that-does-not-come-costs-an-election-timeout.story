# Whoever is named and does not come costs the others the time of an election; then they go by rank.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 3
cut 2 3
hand-over 1 3
expect serving nobody
run 400
expect serving nobody
within 300 expect serving 1
heal
run 3000
expect serving 1
expect in-sync 1 1 2 3
expect same logs
