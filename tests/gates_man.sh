#!/bin/sh
# SPDX-License-Identifier: MIT
# gates_man.sh - plants faults in a copy of the manual and of the headers, and
# sees the manual's gates refuse each.
set -eu
top=$(cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=docs/man/tcpx_read.3

# refuses EXPECTED FILE SED-SCRIPT GATE...
refuses() {
    expected=$1
    file=$2
    edit=$3
    gate=$4
    shift 4
    rm -rf "$work/t"
    mkdir "$work/t"
    (cd "$top" && cp -r include docs scripts lib "$work/t")
    sed -i "$edit" "$work/t/$file"
    if cmp -s "$top/$file" "$work/t/$file"; then
        echo "could not plant in $file: $edit"
        exit 1
    fi
    if out=$("$work/t/scripts/$gate" "$@" 2>&1); then
        echo "let pass by $gate: $edit in $file"
        exit 1
    fi
    case $out in
    *"$expected"*) echo "refused: $edit" ;;
    *) echo "refused $edit without saying \"$expected\": $out" && exit 1 ;;
    esac
}

refuses 'on no page: int tcpx_readn(tcpx_conn*c,void const*' \
    include/tcpx/conn.h 's/int tcpx_readn(tcpx_conn \*c, void/& const/' \
    check-man
refuses 'in no header: int tcpx_readn(' $page \
    's/^.Fa "size_t \*done"/.Fa "int *done"/' check-man
refuses 'on no page: int tcpx_fresh(void)' include/tcpx/base.h \
    's/^TCPX_API tcpx_time tcpx_now/TCPX_API int tcpx_fresh(void);\n&/' \
    check-man
refuses 'in no NAME section: tcpx_peek' $page '/^.Nm tcpx_peek/d' check-man
refuses 'in no header: tcpx_gone' $page \
    's/^.Nm tcpx_peek/.Nm tcpx_gone ,\n&/' check-man
refuses 'exported, in no header: tcpx_secret' lib/libtcpx.map \
    's/^ *tcpx_abort;/&\n tcpx_secret;/' check-man
refuses 'on no page: TCPX_STATE_TIRED' include/tcpx/conn.h \
    's/TCPX_STATE_CUT = 8,/&\nTCPX_STATE_TIRED = 9,/' check-man
refuses 'on no page: glitter' include/tcpx/listener.h \
    's,^    int32_t backlog;,    int32_t glitter; /* 1: shines */\n&,' check-man
refuses 'no page man3/tcpx_abort.3' $page 's/^.Dd.*/.Dd May 1, 2026/' \
    check-man "$work"
refuses 'no entry: TCPX_ELIMIT' docs/man/tcpx_strerror.3 \
    's/^.It Dv TCPX_ELIMIT/.It TCPX_ELIMIT/' check-man
refuses 'tcpx_read.3.c:' $page 's/^    tcpx_conn \*c;/    tcpx_conn c;/' \
    check-man-examples
refuses 'tcpx_read.3: no program' $page '/^.Bd -literal/,/^.Ed/d' \
    check-man-examples
printf '#!/bin/sh\necho "  -h, --help  this"\n' >"$work/tcpx-echo-server"
chmod +x "$work/tcpx-echo-server"
refuses '+-l, --listen' docs/man/tcpx-echo-server.1 's/^.Dd.*/.Dd May 1, 2026/' \
    check-man-programs "$work/tcpx-echo-server"
if command -v mandoc >/dev/null; then
    refuses 'WARNING' $page 's/^.Sh ERRORS/.Sh/' check-man --lint
fi
