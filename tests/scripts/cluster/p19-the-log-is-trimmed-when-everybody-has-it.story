# The log is trimmed once every configured server has it, and not while one lags.
servers 3 available
start 1 2 3
run 2000
expect serving 1
expect in-sync 1 1 2 3
crash 3
run 200
submit 1 6000
run 500
expect untrimmed 1
start 3
run 3000
expect trimmed 1
expect trimmed 2
expect in-sync 1 1 2 3
