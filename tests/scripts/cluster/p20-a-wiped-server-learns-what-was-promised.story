# Under majority a wiped server takes nothing from an old leader before it knows what others promised.
servers 3 majority
start 1 2 3
run 2000
crash 2
run 50
expect in-sync 1 1 3
cut 1 2
start 2
run 200
cut 1 3
cut 2 1
run 950
pause 1
run 300
expect serving 1 3
submit 3
settle
expect answered 1
crash 3
crash 2
wipe 2
heal
start 2
resume 1
read 1
settle
expect reads 0
run 2000
expect serving nobody
start 3
run 4000
expect in-sync 1 1 2 3
expect answered 1
