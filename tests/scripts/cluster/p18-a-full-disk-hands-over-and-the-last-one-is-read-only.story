# A leader with a full disk hands over; the only one left stays leader, read-only.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
disk 1 low
run 3000
expect serving 2
crash 1
run 200
crash 3
run 200
expect serving 2
disk 2 low
run 3000
expect serving 2
expect read-only 2
expect refuses 2
disk 2 free
expect takes 2
