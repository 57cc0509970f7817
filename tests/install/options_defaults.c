/* SPDX-License-Identifier: MIT */
/*
 * options_defaults.c - options as C and C++ programs give them: a variable.
 */
#include <tcpx.h>

int main(void)
{
    tcpx_connect_opts connect = tcpx_connect_defaults();
    tcpx_listen_opts listen = tcpx_listen_defaults();
    tcpx_adopt_opts adopt = tcpx_adopt_defaults();
    tcpx_frame frame = tcpx_frame_defaults();

    connect.bind = "192.0.2.1";
    listen.backlog = 128;
    adopt.sole_owner = 1;
    frame.length = TCPX_FRAME_VARINT;
    return connect.size == sizeof(connect) && listen.size == sizeof(listen) &&
                   adopt.size == sizeof(adopt) && frame.size == sizeof(frame)
               ? 0
               : 1;
}
