# A server that was the last one standing does not lead again before it knows how the others are.
servers 3 available
start 1 2 3
run 2000
crash 2 3
run 500
expect serving 1
submit 1
run 100
crash 1
start 2
run 300
force 2
run 200
expect serving 2
start 3
run 1000
expect in-sync 2 2 3
submit 2
run 100
start 1
run 300
expect serving 2
run 9000
expect serving 2
expect in-sync 2 1 2 3
expect everything
