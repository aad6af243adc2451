# A server that came back is asked like any other, though it was found dead a moment ago.
# Without stale-evidence: I7.
servers 3 available
start 1 2 3
run 2000
expect serving 1
vanish 3
ended 2 3
settle
start 3
run 600
expect in-sync 1 1 2 3
crash 1
within 10 expect serving 2
expect in-sync 2 2 3
