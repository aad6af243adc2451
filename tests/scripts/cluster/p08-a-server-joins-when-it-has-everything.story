# A server that comes back gets what it lacks and is then taken into the view.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 300
submit 1 20
run 100
start 3
run 1000
expect in-sync 1 1 2 3
expect mode 3 follower
expect same logs
