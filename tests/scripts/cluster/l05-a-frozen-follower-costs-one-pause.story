# A frozen follower costs one bounded pause, then nothing.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
pause 3
submit 1
run 1500
expect answered 1
submit 1
run 50
expect answered 2
submit 1
run 50
expect answered 3
resume 3
run 3000
expect in-sync 1 1 2 3
expect same logs
