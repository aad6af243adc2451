# One other disk is not enough: with two servers in sync the leader commits before it answers.
# Without answers-with-few: I3.
servers 3 majority
start 1 2 3
run 2000
crash 3
run 1000
expect serving 1
expect in-sync 1 1 2
submit 1
deliver 1 2
store 2
deliver 2 1
store-one 1
expect answered 0
crash 1
start 1
start 3
crash 2
run 3000
submit 1
settle
expect answered 1
