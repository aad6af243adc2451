# Who comes back at once with an emptied folder is known to all soon, not only to the leader that saw it die.
servers 3 available
start 1 2 3
run 2000
expect serving 1
vanish 3
ended 1 3
settle
wipe 3
start 3
run 600
expect in-sync 1 1 2 3
crash 1
within 10 expect serving 2
expect in-sync 2 2 3
