/* SPDX-License-Identifier: MIT */
/*
 * options_macros.c - options as C programs give them: a pointer on the spot.
 */
#include <tcpx.h>

int main(void)
{
    const tcpx_connect_opts *connect =
        TCPX_CONNECT(.bind = "192.0.2.1", .nagle = 1);
    const tcpx_listen_opts *listen = TCPX_LISTEN(.backlog = 128);
    const tcpx_adopt_opts *adopt = TCPX_ADOPT(.sole_owner = 1);
    const tcpx_frame *frame = TCPX_FRAME(.length = TCPX_FRAME_VARINT);

    return connect->size == sizeof(*connect) &&
                   listen->size == sizeof(*listen) &&
                   adopt->size == sizeof(*adopt) &&
                   frame->size == sizeof(*frame)
               ? 0
               : 1;
}
