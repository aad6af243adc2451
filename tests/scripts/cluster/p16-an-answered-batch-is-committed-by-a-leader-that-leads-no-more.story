# A leader that answered and was stopped before its commit ended commits when it wakes, whatever else it hears.
# Without rolls-back-answered: P16.
servers 3 available
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
store-one 1
expect answered 1
expect ends 1 2
pause 1
run 600
resume 1
run 5
expect refuses 1
run 3000
expect in-sync 1 1 2 3
expect same logs
expect everything
