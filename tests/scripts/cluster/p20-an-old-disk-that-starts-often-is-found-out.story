# An old disk that was started as often as the others remember is found out by what they remember it held.
servers 3 majority
start 1 2 3
run 2000
expect in-sync 1 1 2 3
copy 2
submit 1
settle
crash 2
start 2
run 2000
expect in-sync 1 1 2 3
submit 1
settle
run 2000
crash 1 2 3
put-back 2
start 2
start 3
run 1000
expect said 2 older than what the others remember
expect serving nobody
start 1
run 3000
expect in-sync 1 1 2 3
expect everything
