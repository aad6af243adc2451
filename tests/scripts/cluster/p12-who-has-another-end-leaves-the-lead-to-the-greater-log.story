# A candidate whose log has another end than the greatest one cannot fetch the rest, and the server that has it stands.
servers 3 majority
start 1 2 3
run 2000
cut 3 1
cut 3 2
run 2000
force 3
run 200
submit 3
settle
crash 3
submit 1
settle
expect answered 2
heal
start 3
within 1000 expect serving 3
run 3000
expect same logs
expect aside 1 1
expect aside 2 1
