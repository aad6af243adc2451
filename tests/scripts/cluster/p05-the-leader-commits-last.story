# The leader commits only after every member of the view has the entry.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 2 3
submit 1
run 300
expect ends 1 2
expect answered 0
