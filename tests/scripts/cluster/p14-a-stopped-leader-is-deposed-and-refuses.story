# A leader that was stopped while another took over serves neither writes nor reads when it wakes.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
pause 1
run 3000
expect serving 1 2
resume 1
run 1
expect refuses 1
expect serving 2
run 3000
expect mode 1 follower
expect in-sync 2 1 2 3
expect same logs
