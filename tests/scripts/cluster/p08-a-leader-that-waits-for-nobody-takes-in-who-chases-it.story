# A leader that waits for nobody may be faster than anybody who wants to join; it takes in who chases it.
servers 2 available
start 1 2
run 2000
expect in-sync 1 1 2
crash 2
run 300
expect in-sync 1 1
submit 1 20
settle
start 2
outrun 1 2 500
expect in-sync 1 1
outrun 1 2 1500
expect in-sync 1 1 2
run 1000
expect mode 2 follower
expect same logs
