#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh - installs what the tests need, builds, and runs them.
set -eu

usage() {
    cat <<'END'
usage: scripts/test.sh [OPTION...]
  --asan           with the address and undefined-behaviour sanitizers
  --tsan           with the thread sanitizer; the tests labelled threads
  --valgrind       under valgrind; the tests labelled api, not those labelled
                   timing
  --filter REGEX   only tests whose name matches
  --exclude REGEX  no test with a label that matches
  --repeat N       every test N times, until it fails
  --cc CC          with this compiler, gcc or clang; $CC or cc if not given
  --full           install also what only some checks need: clang-format,
                   clang-tidy, mandoc, shellcheck, abidiff, systemd, iperf3,
                   nginx, haproxy; without them those checks are skipped by
                   name
END
}

cd -- "$(dirname -- "$0")/.."
. scripts/lib.sh

kind=plain
full=0
filter=''
exclude=''
repeat=1
while [ $# -gt 0 ]; do
    case $1 in
    --asan | --tsan | --valgrind) kind=${1#--} ;;
    --full) full=1 ;;
    --filter | --exclude | --repeat | --cc)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        case $1 in
        --filter) filter=$2 ;;
        --exclude) exclude=$2 ;;
        --repeat) repeat=$2 ;;
        --cc) CC=$2 && export CC ;;
        esac
        shift
        ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

case ${CC:-cc} in
*clang*) compiler=clang ;;
*) compiler=gcc ;;
esac
need_build_tools $compiler
need g++ have c++
need check header check.h
need libsubunit-dev header subunit/child.h
need iproute2 have ip
need netbase test -f /etc/services
need netcat-openbsd have nc
need nftables test -x /usr/sbin/nft
need procps test -x /usr/sbin/sysctl
need python3 have python3
need strace have strace
[ "$kind" != valgrind ] || need valgrind have valgrind
if [ $full = 1 ]; then
    need abigail-tools have abidiff
    need clang have clang
    need clang-format have clang-format
    need clang-tidy have clang-tidy
    # Daemons lie where only root has a path to.
    need haproxy test -x /usr/sbin/haproxy
    need iperf3 have iperf3
    need mandoc have mandoc
    need nginx-light test -x /usr/sbin/nginx
    need shellcheck have shellcheck
    need systemd have systemd-socket-activate
fi
install_missing
if [ $compiler = clang ] && [ "$kind" != plain ]; then
    # Named after clang's version, so it can be asked for only here.
    version=$(clang -dumpversion)
    need "libclang-rt-${version%%.*}-dev" links -fsanitize=address,undefined
    install_missing
fi

build=build/test-$compiler-$kind
label=''
set --
case $kind in
asan)
    set -- "-DTCPX_SANITIZE=address;undefined"
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1
    export CK_TIMEOUT_MULTIPLIER=3
    ;;
tsan)
    set -- -DTCPX_SANITIZE=thread
    # Its shadow leaves no room for addresses that are spread further.
    [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -le 28 ] ||
        set -- "$@" "-DTCPX_TEST_WRAPPER=setarch;-R"
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    export CK_TIMEOUT_MULTIPLIER=3
    label=threads
    ;;
valgrind)
    set -- "-DTCPX_TEST_WRAPPER=valgrind;--quiet;--error-exitcode=99;--leak-check=full;--show-leak-kinds=definite,indirect;--errors-for-leak-kinds=definite,indirect;--fair-sched=yes"
    export CK_TIMEOUT_MULTIPLIER=10
    label=api
    exclude=${exclude:+$exclude|}^timing\$
    ;;
esac
configure . "$build" -DTCPX_BUILD_TESTS=ON -DTCPX_WERROR=ON "$@"
run cmake --build "$build" -j "$jobs"

# Most tests wait more than they work.
set -- --output-on-failure --no-tests=error -j $((jobs * 2))
[ -z "$label" ] || set -- "$@" -L "^$label\$"
[ -z "$filter" ] || set -- "$@" -R "$filter"
[ -z "$exclude" ] || set -- "$@" -LE "$exclude"
[ "$repeat" = 1 ] || set -- "$@" --repeat "until-fail:$repeat"
rc=0
(cd "$build" && run ctest "$@") || rc=$?

log=$build/Testing/Temporary/LastTest.log
if grep -q '^SKIPPED' "$log" 2>/dev/null; then
    say "Skipped, and why:"
    grep '^SKIPPED' "$log" | sort | uniq | sed 's/^SKIPPED /  /'
fi
exit $rc
