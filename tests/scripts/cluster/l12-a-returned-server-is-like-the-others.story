# A server that was away for many updates and a change of leader ends up with the same log.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 2
run 200
submit 1 50
run 100
submit 1 50
run 100
start 2
run 2000
crash 1
run 2000
submit 2 5
run 100
start 1
run 3000
expect answered 105
expect in-sync 2 1 2 3
expect same logs
