# Blank servers wait for each other and begin together.
servers 3 majority
start 1 2
run 5000
expect serving nobody
expect mode 1 blank
start 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
