# Who was promised time to win has no claim to it when it led and died.
servers 3 available
start 1 2 3
run 2000
crash 1
run 150
expect serving 2
crash 2
run 150
expect serving 3
