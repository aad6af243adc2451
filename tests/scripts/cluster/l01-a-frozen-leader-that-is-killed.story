# A leader that was frozen and probed before it was killed is found dead at once all the same.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
pause 1
run 450
expect serving 1
crash 1
within 30 expect serving 2
