# The server that was alone in the view leads again without waiting for anybody.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 300
crash 2
run 300
submit 1
run 100
crash 1
start 1
run 2000
expect serving 1
expect answered 1
