# A restarted leader knows from its own log what the other members had, and finds out an older disk.
servers 3 available
start 1 2 3
run 2000
crash 3
run 1500
expect in-sync 1 1 2
copy 2
submit 1
settle
expect answered 1
vanish 1
within 300 expect serving 2
start 3
run 2000
expect in-sync 2 2 3
submit 2
settle
crash 2
within 300 expect serving 3
submit 3
settle
expect answered 3
crash 3
put-back 2
start 1 2
run 3000
expect serving nobody
expect said 2 older than what the others remember
start 3
run 3000
expect everything
expect same logs
