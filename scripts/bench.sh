#!/bin/sh
# SPDX-License-Identifier: MIT
# bench.sh - builds, measures, and writes the figures into docs/performance.md
# and README.md.
set -eu

usage() {
    cat <<'END'
usage: scripts/bench.sh [OPTION...] [PART...]
  messages     what a message costs over one connection
  servers      servers under each model; all parts if none is named
  --rounds N   rounds of each comparison, 21 if not given
  --patience N seconds that each comparison of servers may wait, in all, until
               other programs are done; 120 if not given
  --quick      few and short rounds, and print instead of writing
  --print      print instead of writing
END
}

cd -- "$(dirname -- "$0")/.."
. scripts/lib.sh

rounds=21
ms=300
patience=120
mib=1024
print=0
parts=''
while [ $# -gt 0 ]; do
    case $1 in
    --rounds)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        rounds=$2
        shift
        ;;
    --patience)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        patience=$2
        shift
        ;;
    --quick) rounds=5 ms=30 mib=64 patience=0 print=1 ;;
    --print) print=1 ;;
    messages | servers) parts="$parts $1" ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

[ -n "$parts" ] || parts='messages servers'

need_build_tools gcc
need strace have strace
need valgrind have valgrind
install_missing
build=build/bench
configure . $build -DCMAKE_BUILD_TYPE=Release -DTCPX_BUILD_BENCH=ON \
    -DTCPX_BUILD_TESTS=OFF -DTCPX_BUILD_EXAMPLES=OFF
run cmake --build $build -j "$jobs"
bench=$build/bench
roundtrip=$bench/bench_roundtrip
bulk=$bench/bench_bulk
contest=$bench/bench_contest
two=1 # CPUs to tie programs to: one for each side
[ "$(nproc)" -gt 1 ] || two=0

machine() {
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    virtual=''
    ! grep -q '^flags.* hypervisor' /proc/cpuinfo || virtual=', virtual'
    echo "Machine: $(nproc) CPUs${model:+ ($model$virtual)}," \
        "$(uname -s) $(uname -r), $("${CC:-cc}" --version | head -n 1)." \
        "Rounds: $rounds."
    busy=$(awk '{ print ($1 > 0.5) }' /proc/loadavg)
    [ "$busy" = 0 ] || echo "Other programs were running when it began."
}

section() {
    say "measuring: $1" >&2
    printf '\n### %s\n\n' "$1"
}

measure_messages() {
    machine
    section "System calls"
    bench/cost.sh calls $bench || say "More than the goal."
    section "Instructions in user space"
    bench/cost.sh instructions $bench || say "More than the goal."
    section "Memory"
    "$roundtrip" --way tcpx --exchanges 1 | awk '{
        print "A connection that has buffered nothing takes " $6 " bytes of the"
        print "heap, what malloc rounds it up to included."
    }'
    if [ $two = 1 ]; then
        section "Exchange of 64 bytes, both sides on one CPU"
        "$roundtrip" --compare --rounds "$rounds" --ms $ms --cpus 0,0
        section "Exchange of 64 bytes, each side on a CPU of its own"
        "$roundtrip" --compare --rounds "$rounds" --ms $ms --cpus 0,1
        section "Bulk, $mib MiB by 64 KiB, each side on a CPU of its own"
        "$bulk" --rounds "$rounds" --mib $mib --cpus 0,1
    else
        section "Exchange of 64 bytes, on one CPU"
        "$roundtrip" --compare --rounds "$rounds" --ms $ms --cpus 0,0
        section "Bulk, $mib MiB by 64 KiB, on one CPU"
        "$bulk" --rounds "$rounds" --mib $mib --cpus 0,0
    fi
}

# compete TITLE EVENT OPTION...: one table.
compete() {
    section "$1"
    shift
    "$contest" "$@" --cpus 0,$two --rounds "$rounds" --ms $ms \
        --patience "$patience" --figures $build/figures.txt
}

measure_servers() {
    : >$build/figures.txt
    machine
    # Before there are sockets that linger after a close.
    compete "Memory for each of 1,000 idle connections" idle --clients 1000
    section "System calls for each connection"
    bench/cost.sh connections $bench >$build/connections.md ||
        say "More than is explained above."
    cat $build/connections.md
    compete "Connect, exchange 64 bytes, close: 16 clients" churn --clients 16
    for n in 1 64 1000; do
        compete "Exchanges of 64 bytes, connections: $n" echo --clients $n
    done
}

# The costs of the library's models, for README.md, out of what was measured.
costs() {
    awk -F '|' '
        FILENAME ~ /txt$/ && $4 ~ /^libtcpx(, io_uring)?$/ { of[$1, $2, $3, $5] = $6 }
        FILENAME ~ /md$/ && $3 ~ /^ libtcpx(, io_uring)? $/ && $4 == " 16 " {
            gsub(/ /, "", $2)
            of["calls", $2] = $5
        }
        # No more digits than mean something.
        function about(n, unit) {
            return int(n / unit + 0.5) * unit
        }
        function thousands(n) {
            return n >= 1000 ? sprintf("%d,%03d", n / 1000, n % 1000) : n
        }
        function row(model, constant) {
            printf "| `TCPX_%s` | %s | %s us | %d | %s | %s |\n", constant,
                thousands(about(of["churn", 16, model, "rate"], 100)),
                about(of["churn", 16, model, "cpu"], 1),
                of["calls", model] + 0.5, rate(model), memory(model)
        }
        function rate(model) {
            model = of["echo", 64, model, "rate"]
            return model == "" ? "not measured" : thousands(about(model, 1000))
        }
        function memory(model, own, kernel) {
            own = of["idle", 1000, model, "own"]
            kernel = of["idle", 1000, model, "kernel"]
            return own == "" ? "none, it waits" : \
                sprintf("%d and %d KiB", own + 0.5, kernel + 0.5)
        }
        END {
            print "| `.model` | Connections a second | CPU for each |" \
                " System calls | Exchanges a second | An idle one takes |"
            print "| --- | --- | --- | --- | --- | --- |"
            row("thread", "THREAD")
            row("fiber", "FIBER")
            row("pool", "POOL")
            row("fork", "FORK")
            row("iterative", "ITERATIVE")
        }' $build/figures.txt $build/connections.md
}

# write NAME FILE: puts build/NAME.md between the marks of that name in FILE.
write() {
    awk -v name="$1" -v new="$build/$1.md" '
        $0 == "<!-- " name ": end -->" { inside = 0 }
        !inside { print }
        $0 == "<!-- " name ": begin -->" {
            while ((getline line < new) > 0)
                print line
            inside = 1
        }' "$2" >$build/written.md
    cp $build/written.md "$2"
    say "$2 has the figures of $1."
}

for part in $parts; do
    measure_"$part" >$build/"$part".md
    [ "$part" != servers ] || costs >$build/costs.md
    if [ $print = 1 ]; then
        cat $build/"$part".md
        [ "$part" != servers ] || cat $build/costs.md
    else
        write "$part" docs/performance.md
        [ "$part" != servers ] || write costs README.md
    fi
done
