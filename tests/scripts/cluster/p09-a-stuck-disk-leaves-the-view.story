# A member whose heart beats but whose disk is stuck leaves the view on the leader's wish.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
stall 3
submit 1
run 2500
expect answered 1
expect in-sync 1 1 2
expect said 3 left the in-sync set
