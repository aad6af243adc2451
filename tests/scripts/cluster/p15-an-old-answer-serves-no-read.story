# A leader that was deposed behind its back serves no read on the strength of older answers.
# Without old-answer-serves-read: I9.
servers 3 majority
start 1 2 3
run 2000
expect serving 1
cut 1 2
cut 1 3
run 950
pause 1
run 300
expect serving 1 2
submit 2
settle
expect answered 1
resume 1
read 1
settle
expect reads 0
run 2000
expect serving 2
