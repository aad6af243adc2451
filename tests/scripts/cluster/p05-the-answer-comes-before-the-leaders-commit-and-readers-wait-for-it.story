# When both others have an entry, whoever waits is answered while the leader commits; a read waits for the commit.
# Without reads-before-commit: I9.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
deliver 1 2
deliver 1 3
store 2
store 3
deliver 2 1
deliver 3 1
expect answered 0
store-one 1
expect answered 1
expect ends 1 2
read 1
deliver 1 2
deliver 2 1
expect reads 0
store 1
expect ends 1 3
settle
expect reads 1
