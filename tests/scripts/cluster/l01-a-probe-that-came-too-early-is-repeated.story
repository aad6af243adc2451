# A process that is being killed closes its streams before its port: an accepted probe is repeated soon.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
pause 1
ended 2 1
ended 3 1
settle
vanish 1
within 30 expect serving 2
