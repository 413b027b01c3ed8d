# Arguments: a time in seconds, a command and its arguments. Limits hold for everything it starts.
limit=$1
shift
ulimit -c 0 && ulimit -t "$limit" && ulimit -v 1048576 && ulimit -f 32768 && ulimit -n 64 || exit 125
exec "$@"
