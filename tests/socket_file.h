/* SPDX-License-Identifier: MIT */
/*
 * socket_file.h - a directory for the sockets of one test.
 */
#ifndef TESTS_SOCKET_FILE_H
#define TESTS_SOCKET_FILE_H

#include <sys/types.h>
#include <tcpx.h>

/* The directory, a path in it where there is nothing yet, and its address. */
extern char directory[32];
extern char path[64];
extern char address[80];

/* The fixture; removing fails if a test leaves a file there. */
void make_directory(void);
void remove_directory(void);

int exists(const char *name);
ino_t inode_of(const char *name);
unsigned mode_of(const char *name);

/* A socket of the type, bound to path. */
int bind_raw(int type);

/* Leaves a socket's file at path that nobody is bound to. */
void leave_stale_socket(void);

/* l must be the one that answers at path. */
void ck_answers(tcpx_listener *l);

#endif
