# A server that found out that its disk is an old one promises nothing after its next start either.
servers 3 majority
start 1 2 3
run 2000
crash 1
within 300 expect serving 2
submit 2
settle
copy 2
crash 3
start 1
run 3000
expect in-sync 1 1 2
submit 1
settle
expect answered 2
crash 1 2
put-back 2
start 1 2
run 500
expect said 2 older than what the others remember
crash 1 2
start 2 3
run 3000
expect serving nobody
start 1
run 3000
expect everything
expect same logs
