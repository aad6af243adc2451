# After every disk was lost, the server that was restored from a backup leads when all configured servers are there.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
crash 1
copy 1
crash 2
crash 3
wipe 2
wipe 3
restore 1
start 1
run 4000
expect serving nobody
start 2
run 4000
expect serving nobody
expect waits 1 2 3
start 3
run 3000
expect serving 1
expect in-sync 1 1 2 3
expect same logs
expect everything
submit 1
settle
expect answered 2
