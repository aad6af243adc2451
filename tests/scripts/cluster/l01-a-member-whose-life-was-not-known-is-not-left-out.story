# Who the dead leader let in is no stranger to its successor, though its life looks like an earlier one.
servers 3 available
start 1 2 3
run 2000
expect serving 1
copy 3
crash 3
start 3
run 2000
expect in-sync 1 1 2 3
crash 3
crash 1
run 300
expect serving 2
start 1
run 1000
expect in-sync 2 1 2
pause 2
run 3000
resume 2
run 1000
expect serving 1
expect in-sync 1 1 2
put-back 3
start 3
run 2000
expect in-sync 1 1 2 3
crash 1
within 10 expect serving 2
expect in-sync 2 2 3
