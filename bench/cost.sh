#!/bin/sh
# SPDX-License-Identifier: MIT
# cost.sh calls|instructions ROUNDTRIP [WHY_NOT] - counts what a message costs, and fails
# if it is more than the library allows itself.  WHY_NOT, if not empty, is why
# this build is not held to it: then it only says so.
#
# A message is one send and the receive that takes it; an exchange is two.  The
# difference of two runs of different length leaves out what starting costs.
set -eu
what=$1
roundtrip=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# More instructions than plain system calls need, per message; and what a read
# of the clock comes to under valgrind, where it is a system call.
allowed_instructions=150
clock_read=40
# Calls in a whole run that another thread's timing can add or take away.
noise=8

skip() {
    echo "SKIPPED cost.$what: $*"
    exit 77
}

# ---- System calls -----------------------------------------------------------

# The number of system calls of all threads of a run.
calls() {
    strace -f -c -o "$work/calls" "$roundtrip" "$@" >"$work/out"
    awk '$4 ~ /^[0-9]+$/ && $NF != "total" { sum += $4 }
         END { print sum; exit !sum }' "$work/calls"
}

# Those of 1,000 exchanges.
calls_per_thousand() {
    few=$(calls --exchanges 100 "$@")
    many=$(calls --exchanges 1100 "$@")
    echo $((many - few))
}

row() {
    awk -v name="$1" -v all="$2" -v raw="$3" -v per="$4" -v digits="$5" 'BEGIN {
        format = sprintf("| %%s | %%.%df | %%+.%df |\n", digits, digits)
        printf format, name, all / per, (all - raw) / per
    }'
}

# One deadline for all, exchanges until almost nothing of it is left: each
# halving of what is left may cost each end one call, and so may the first.
check_absolute() {
    idle=$(calls --way tcpx --exchanges 0)
    all=$(calls --way tcpx --limit absolute --deadline 2000 --until-left 50 \
        --exchanges 1000000000)
    exchanges=$(awk '{ print $2 }' "$work/out")
    extra=$((all - idle - 4 * exchanges))
    halvings=6 # 2000 ms to 50 ms, rounded up
    echo
    echo "With one deadline for $exchanges exchanges, of which 2 s became 50 ms:"
    echo "$extra calls more in all, on both ends."
    [ $extra -le $((2 * (halvings + 1) + noise)) ]
}

check_calls() {
    command -v strace >/dev/null || skip "strace is not installed"
    strace -c -o "$work/calls" true 2>/dev/null ||
        skip "strace may not trace here"
    raw=$(calls_per_thousand --way raw)
    echo "| way | system calls per message | more than plain |"
    echo "| --- | --- | --- |"
    row "plain system calls" "$raw" "$raw" 2000 2
    rc=0
    for limit in none timeout; do
        got=$(calls_per_thousand --way tcpx --limit $limit)
        row "libtcpx, $limit" "$got" "$raw" 2000 2
        [ "$got" -le $((raw + noise)) ] || rc=1
    done
    check_absolute || rc=1
    return $rc
}

# ---- Instructions -----------------------------------------------------------

instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" \
        "$roundtrip" "$@" >/dev/null 2>"$work/err" || {
        cat "$work/err" >&2
        exit 1
    }
    awk '$1 == "totals:" || $1 == "summary:" { sum = $2 }
         END { print sum; exit !sum }' "$work/callgrind"
}

instructions_per_thousand() {
    few=$(instructions --exchanges 500 "$@")
    many=$(instructions --exchanges 1500 "$@")
    echo $((many - few))
}

check_instructions() {
    command -v valgrind >/dev/null || skip "valgrind is not installed"
    # It gives up on debug information that is newer than it is.
    valgrind --tool=none "$roundtrip" --exchanges 1 >/dev/null 2>&1 ||
        skip "valgrind cannot run this program"
    raw=$(instructions_per_thousand --way raw)
    echo "| way | instructions per message | more than plain |"
    echo "| --- | --- | --- |"
    row "plain system calls" "$raw" "$raw" 2000 0
    rc=0
    for limit in none timeout absolute; do
        got=$(instructions_per_thousand --way tcpx --limit $limit)
        row "libtcpx, $limit" "$got" "$raw" 2000 0
        case $limit in
        none) reads=0 ;;
        timeout) reads=3 ;; # the caller's for each of two calls, and ours
        absolute) reads=1 ;;
        esac
        more=$((allowed_instructions + reads * clock_read))
        [ "$got" -le $((raw + 2000 * more)) ] || rc=1
    done
    echo
    echo "Allowed: $allowed_instructions more, and $clock_read for each read" \
        "of the clock, of which there are three with a timeout (two of them" \
        "the caller's own tcpx_after) and one with one deadline for all."
    return $rc
}

[ -z "${3:-}" ] || skip "$3"
case $what in
calls | instructions) "check_$what" ;;
*)
    echo "usage: cost.sh calls|instructions ROUNDTRIP [WHY_NOT]" >&2
    exit 2
    ;;
esac
