# A frozen leader is replaced a failure timeout after its last answer, and one rank later.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
pause 1
run 900
expect serving 1
within 410 expect serving 1 2
