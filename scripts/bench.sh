#!/bin/sh
# SPDX-License-Identifier: MIT
# bench.sh - builds, measures, and writes the figures into docs/performance.md.
set -eu

usage() {
    cat <<'END'
usage: scripts/bench.sh [OPTION...]
  --rounds N   rounds of each comparison, 21 if not given
  --quick      few and short rounds, and print instead of writing
  --print      print instead of writing
END
}

cd -- "$(dirname -- "$0")/.."
. scripts/lib.sh

rounds=21
ms=300
mib=1024
print=0
while [ $# -gt 0 ]; do
    case $1 in
    --rounds)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        rounds=$2
        shift
        ;;
    --quick) rounds=5 ms=30 mib=64 print=1 ;;
    --print) print=1 ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

need_build_tools gcc
need strace have strace
need valgrind have valgrind
install_missing
build=build/bench
configure . $build -DCMAKE_BUILD_TYPE=Release -DTCPX_BUILD_BENCH=ON \
    -DTCPX_BUILD_TESTS=OFF -DTCPX_BUILD_EXAMPLES=OFF
run cmake --build $build -j "$jobs"
roundtrip=$build/bench/bench_roundtrip
bulk=$build/bench/bench_bulk

machine() {
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    virtual=''
    ! grep -q '^flags.* hypervisor' /proc/cpuinfo || virtual=', virtual'
    echo "Machine: $(nproc) CPUs${model:+ ($model$virtual)}," \
        "$(uname -s) $(uname -r), $("${CC:-cc}" --version | head -n 1)."
    busy=$(awk '{ print ($1 > 0.5) }' /proc/loadavg)
    [ "$busy" = 0 ] || echo "Other programs were running when it began."
}

section() {
    say "measuring: $1" >&2
    printf '\n### %s\n\n' "$1"
}

figures() {
    machine
    section "System calls"
    bench/cost.sh calls "$roundtrip" || say "More than the goal."
    section "Instructions in user space"
    bench/cost.sh instructions "$roundtrip" || say "More than the goal."
    section "Memory"
    "$roundtrip" --way tcpx --exchanges 1 | awk '{
        print "A connection that has buffered nothing takes " $6 " bytes of the"
        print "heap, what malloc rounds it up to included."
    }'
    if [ "$(nproc)" -gt 1 ]; then
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

figures >$build/figures.md
if [ $print = 1 ]; then
    cat $build/figures.md
    exit 0
fi
awk -v figures=$build/figures.md '
/<!-- figures: end -->/ { inside = 0 }
!inside { print }
/<!-- figures: begin -->/ {
    while ((getline line < figures) > 0)
        print line
    inside = 1
}
' docs/performance.md >$build/performance.md
cp $build/performance.md docs/performance.md
say "docs/performance.md has the figures."
