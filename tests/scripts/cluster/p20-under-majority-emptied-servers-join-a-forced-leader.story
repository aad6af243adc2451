# Under majority emptied servers join a leader that an operator forced, though nobody else has a promise to tell.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
settle
crash 1
crash 2
crash 3
wipe 1
wipe 2
start 3
run 2000
expect serving nobody
force 3
run 200
expect serving 3
start 1
run 3000
expect in-sync 3 1 3
start 2
run 3000
expect in-sync 3 1 2 3
expect same logs
expect everything
