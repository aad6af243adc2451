# A leader that is heard and hears nobody is replaced as soon as one that is silent, and holds its callers no longer.
servers 3 majority
start 1 2 3
run 2000
submit 1
settle
expect answered 1
cut-way 2 1
cut-way 3 1
submit 1
within 1350 expect serving 2
