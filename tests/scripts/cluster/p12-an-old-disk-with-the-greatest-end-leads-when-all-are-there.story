# Whoever has the greatest end leads, even an old disk (here: where a lead was forced), once everybody can promise.
servers 3 majority
start 1 2 3
run 2000
copy 1
submit 1 8
settle
run 2000
crash 1
crash 2
crash 3
put-back 1
start 1
run 1000
force 1
run 500
submit 1
settle
crash 1
start 1
start 2
start 3
run 500
expect said 1 older than what the others remember
run 5000
expect serving 1
expect same logs
