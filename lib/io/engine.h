/* SPDX-License-Identifier: MIT */
/*
 * engine.h - making a core with the engine that was asked for, or the best
 * that there is.
 */
#ifndef TCPX_IO_ENGINE_H
#define TCPX_IO_ENGINE_H

#include "fiber/core.h"

/* A core for the calling thread, with an engine of enum tcpx_engine: 0;
   -ENOTSUP if this system refuses it; -EMFILE, -ENOMEM. */
int tcpx__core_open(struct tcpx__core *core, int engine, size_t stack_size);
void tcpx__core_close(struct tcpx__core *core);

#endif
