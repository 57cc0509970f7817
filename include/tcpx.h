/* SPDX-License-Identifier: MIT */
/*
 * tcpx.h - TCP for C programs: everything, by one include.
 */
#ifndef TCPX_H
#define TCPX_H

#include <tcpx/address.h>
#include <tcpx/base.h>
#include <tcpx/conn.h>
#include <tcpx/connect.h>
#include <tcpx/error.h>
#include <tcpx/listener.h>
#include <tcpx/queue.h>
#include <tcpx/relay.h>
#include <tcpx/server.h>
#include <tcpx/task.h>
#include <tcpx/wait.h>

#endif
