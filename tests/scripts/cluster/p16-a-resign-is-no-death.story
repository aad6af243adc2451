# A leader that hands over and keeps its standing is asked for its promise like any other.
# Without resign-is-death: I7.
servers 3 available
start 1 2 3
run 2000
expect serving 1
disk 1 low
deliver 1 2
deliver 1 3
deliver 2 3
deliver 3 2
deliver 2 3
store 3
store 2
deliver 3 2
store 2
run 1000
expect serving 2
expect in-sync 2 2 3
