# An update in flight when the lead is lost is not answered by the old leader.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
cut 1 2
cut 1 3
submit 1
run 100
crash 1
run 2000
expect serving 2
expect answered 0
