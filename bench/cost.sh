#!/bin/sh
# SPDX-License-Identifier: MIT
# cost.sh calls|instructions|connections FOLDER [WHY_NOT] - counts what a
# message costs, or a client of a server, by the programs in FOLDER; and fails
# if it is more than the library allows itself.  WHY_NOT, if not empty, is why
# this build is not held to it: then it only says so.
#
# A message is one send and the receive that takes it; an exchange is two.  The
# difference of two runs of different length leaves out what starting costs.
set -eu
what=$1
folder=$2
roundtrip=$folder/bench_roundtrip
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

need_strace() {
    command -v strace >/dev/null || skip "strace is not installed"
    strace -c -o "$work/calls" true 2>/dev/null ||
        skip "strace may not trace here"
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
    need_strace
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
    "$roundtrip" --exchanges 1 >/dev/null
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

# ---- System calls for each client of a server -------------------------------

# More calls for each client than by the server on bare system calls, in
# hundredths, with one client at a time and with 16.  A lonely client costs a
# ppoll beside the accept, and one in an iterative server or a child another,
# and a receive in vain, for each of its two waits.  A child is waited for by a
# pidfd.  The rest is noise: futexes that are met or not, and who comes alone
# among 16.
allowed_connections() {
    case $1 in
    iterative) echo 550 500 ;;
    fork) echo 1300 1200 ;;
    *) echo 150 120 ;;
    esac
}

server=''
stop_server() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
}
trap 'stop_server; rm -rf "$work"' EXIT

# count CLIENTS EXCHANGES SERVER...: writes "CALL NUMBER" to $work/count.
count() {
    clients=$1
    exchanges=$2
    shift 2
    rm -f "$work/out" "$work/calls"
    mkfifo "$work/out"
    # It is the server that is to stop: strace writes its table after that.
    strace -f -qq -c -U name,calls -o "$work/calls" \
        sh -c 'echo $$; exec "$@"' sh "$@" >"$work/out" &
    strace=$!
    {
        read -r server
        read -r _ _ address
        "$folder/bench_load" churn "$address" --clients "$clients" \
            --exchanges "$exchanges" >/dev/null
        kill "$server"
    } <"$work/out"
    wait $strace 2>/dev/null || : # the signal's name, or nothing
    server=''
    rm "$work/out"
    awk '$2 ~ /^[0-9]+$/' "$work/calls" >"$work/count"
}

# The calls for each client, as "CALL NUMBER" in hundredths, "total" among them.
count_per_client() {
    clients=$1
    shift
    count "$clients" 200 "$@"
    mv "$work/count" "$work/few"
    count "$clients" 600 "$@"
    awk 'NR == FNR { few[$1] = $2; next }
         { n = ($2 - few[$1]) / 4
           if (n >= 2 || n <= -2) printf "%s %.0f\n", $1, n }' \
        "$work/few" "$work/count" | sort
}

# Prints a row: in all, and each call of which there are more or fewer.
connection_row() {
    awk -v model="$1" -v name="$2" -v clients="$3" '
        !($1 in seen) { seen[$1] = 1; names[++n] = $1 }
        FILENAME ~ /plain$/ { plain[$1] = $2 }
        FILENAME !~ /plain$/ { got[$1] = $2 }
        END {
            printf "| %s | %s | %d | %.2f | ", model, name, clients,
                   got["total"] / 100
            for (i = 1; i <= n; i++) {
                call = names[i]
                more = got[call] - plain[call]
                if (call != "total" && (more >= 5 || more <= -5)) {
                    printf "%s%s %+.2f", (some ? ", " : ""), call, more / 100
                    some = 1
                }
            }
            print " |"
        }' "$work/plain" "$4"
}

total_of() {
    awk '$1 == "total" { print $2 }' "$1"
}

check_connections() {
    need_strace
    rc=0
    echo "| model | server | clients | calls for each | differs in |"
    echo "| --- | --- | --- | --- | --- |"
    "$folder/bench_contest" list >"$work/list"
    for clients in 1 16; do
        last=''
        while IFS='|' read -r model name command; do
            # shellcheck disable=SC2086 # a command and its argument
            count_per_client "$clients" $command >"$work/got" </dev/null
            [ "$model" = "$last" ] || cp "$work/got" "$work/plain"
            last=$model
            connection_row "$model" "$name" "$clients" "$work/got"
            [ "$name" = libtcpx ] || continue
            more=$(($(total_of "$work/got") - $(total_of "$work/plain")))
            # shellcheck disable=SC2046 # two numbers
            set -- $(allowed_connections "$model")
            [ "$clients" = 1 ] || shift
            [ $more -le "$1" ] || rc=1
        done <"$work/list"
    done
    return $rc
}

[ -z "${3:-}" ] || skip "$3"
case $what in
calls | instructions | connections) "check_$what" ;;
*)
    echo "usage: cost.sh calls|instructions|connections FOLDER [WHY_NOT]" >&2
    exit 2
    ;;
esac
