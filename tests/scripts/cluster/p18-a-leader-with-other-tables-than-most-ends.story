# A leader whose tables are not those of the others ends, and what it had in flight goes on without it.
servers 3 majority
start 1 2 3
run 2000
expect in-sync 1 1 2 3
spoil 1
submit 1
settle
expect exit 1 failed
expect answered 0
within 300 expect serving 2
expect in-sync 2 2 3
submit 2
settle
expect answered 1
expect everything
