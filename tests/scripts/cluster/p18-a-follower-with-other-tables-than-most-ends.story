# A follower whose tables are not those of the others ends; nothing is answered before it is out.
servers 3 available
start 1 2 3
run 2000
expect in-sync 1 1 2 3
spoil 3
submit 1
deliver 1 3
store 3
deliver 3 1
store 1
expect answered 0
deliver 1 2
store 2
deliver 2 1
store 1
expect answered 0
within 200 expect exit 3 failed
within 200 expect answered 1
expect serving 1
expect in-sync 1 1 2
wipe 3
start 3
run 2000
expect in-sync 1 1 2 3
submit 1
settle
expect answered 2
expect everything
