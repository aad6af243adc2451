# After all were down, a server waits by name for those who may know more.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 500
submit 1
run 100
crash 2
crash 1
start 3
run 5000
expect serving nobody
expect waits 3 1 2
expect note 3 may hold newer entries
start 2
run 2000
expect serving nobody
expect waits 2 1
start 1
run 3000
expect mode 3 follower
expect in-sync 3 1 2 3
expect same logs
