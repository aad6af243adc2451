# A killed leader under load is replaced without waiting for any timer.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
submit 1
crash 1
within 0 expect serving 2
expect in-sync 2 2 3
submit 2
within 0 expect answered 1
