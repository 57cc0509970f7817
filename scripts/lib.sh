# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# lib.sh - what the scripts share; sourced, with the top folder as current one.

# Prints a command as one may type it, then runs it.
run() {
    show "$@"
    "$@"
}

show() {
    printf '+'
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./=:,+%@-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
}

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# need PACKAGE TEST...: notes the Debian package if the test fails.
missing=''
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

# Whether the compiler finds a header.
header() {
    printf '#include <%s>\n' "$1" | "${CC:-cc}" -E - >/dev/null 2>&1
}

# Whether the compiler makes a program with these options.
links() {
    echo 'int main(void) { return 0; }' |
        "${CC:-cc}" "$@" -x c - -o /dev/null 2>/dev/null
}

need_build_tools() {
    need "${1:-gcc}" have "${CC:-cc}"
    need libc6-dev header stdio.h
    need cmake have cmake
    # CMake's own default; ninja is used where it is there already.
    have ninja || need make have make
    need pkg-config have pkg-config
    # Optional for the library: without it fibers run over epoll alone.
    need liburing-dev header liburing.h
}

# Installs what need() noted, and nothing else; no question is asked.
install_missing() {
    [ -n "$missing" ] || return 0
    if ! have apt-get; then
        say "Missing, by the names of Debian's packages:$missing" >&2
        say "This script installs on Debian and its kin only. Elsewhere:" >&2
        say "  Fedora  dnf install gcc cmake ninja-build pkgconf check-devel liburing-devel" >&2
        say "  Arch    pacman -S gcc cmake ninja pkgconf check liburing" >&2
        say "  Alpine  apk add build-base cmake ninja pkgconf check-dev liburing-dev" >&2
        say "(not tried by this project). Then start the script again." >&2
        exit 3
    fi
    sudo=''
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "not root and no sudo; as root: apt-get install$missing"
        sudo=sudo
    fi
    # Lists that could not be fetched may still be good enough.
    # shellcheck disable=SC2086 # a list of words, and perhaps no sudo
    run $sudo apt-get -qq -o DPkg::Lock::Timeout=300 update ||
        say "apt-get update failed; trying with the lists that are there"
    mkdir -p build
    # shellcheck disable=SC2086
    set -- $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install $missing
    show "$@"
    "$@" >build/install.log 2>&1 || {
        tail -n 20 build/install.log >&2
        die "could not install$missing"
    }
    missing=''
}

# configure SOURCE FOLDER OPTION...: a folder keeps the generator it began with.
configure() {
    source=$1
    folder=$2
    shift 2
    # CMake refuses a folder that was made before the whole tree was moved.
    if [ -f "$folder/CMakeCache.txt" ] && ! grep -qxF \
        "CMAKE_CACHEFILE_DIR:INTERNAL=$PWD/$folder" "$folder/CMakeCache.txt"
    then
        run rm -rf "$folder"
    fi
    if [ ! -f "$folder/CMakeCache.txt" ] && have ninja; then
        set -- -G Ninja "$@"
    fi
    run cmake -S "$source" -B "$folder" "$@"
}

# shellcheck disable=SC2034 # for the scripts that read this file
jobs=$(nproc 2>/dev/null || echo 2)
