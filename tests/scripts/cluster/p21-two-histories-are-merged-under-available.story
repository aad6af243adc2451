# Under available both sides of a partition go on, and when it heals the one that gives way has its updates merged.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 2
cut 1 3
run 3000
expect serving 1 2
submit 1
submit 2
run 100
expect answered 2
heal
run 9000
expect serving 2
expect answered 3
expect aside 1 1
expect said 1 are merged into the history of server 2
expect in-sync 2 1 2 3
expect same logs
expect everything
