# What a leader said before it died may arrive after it was found dead; then it is looked at again.
servers 3 available
start 1 2 3
run 2000
submit 1 3
crash 1
probed 2 1
within 10 expect serving 2
