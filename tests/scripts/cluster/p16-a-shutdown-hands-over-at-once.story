# A leader that shuts down resigns, and another leads within 150 ms.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
shutdown 1
run 150
expect exit 1 clean
expect serving 2
expect answered 1
