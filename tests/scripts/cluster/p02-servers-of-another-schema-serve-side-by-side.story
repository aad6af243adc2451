# Servers are upgraded one after another: those of another database schema serve side by side, whoever leads.
servers 3 available
start 1 2 3
run 2000
expect serving 1
shutdown 3
run 200
schema 3 2
start 3
run 2000
expect in-sync 1 1 2 3
shutdown 2
run 200
schema 2 2
start 2
run 2000
expect in-sync 1 1 2 3
submit 1
settle
expect answered 1
shutdown 1
run 200
expect serving 2
submit 2
settle
expect answered 2
schema 1 2
start 1
run 2000
expect in-sync 2 1 2 3
expect same logs
