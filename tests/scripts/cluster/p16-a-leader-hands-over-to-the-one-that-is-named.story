# A leader that is asked to hand over lets the batch in flight end; the named one leads without a timer.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
submit 1
hand-over 1 3
expect refuses 1
deliver 1 2
deliver 1 3
expect serving 1
settle
expect answered 1
within 10 expect serving 3
expect said 1 hands the lead over to server 3
expect in-sync 3 1 2 3
submit 3
settle
expect answered 2
run 3000
expect serving 3
expect in-sync 3 1 2 3
expect same logs
