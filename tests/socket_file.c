/* SPDX-License-Identifier: MIT */
/*
 * socket_file.c - a directory for the sockets of one test.
 */
#include "socket_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "listening.h"
#include "support.h"

char directory[32];
char path[64];
char address[80];

void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/tcpx-unix-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
    snprintf(address, sizeof(address), "unix:%s", path);
}

void remove_directory(void)
{
    ck_assert_msg(rmdir(directory) == 0, "rmdir %s: %s", directory,
                  strerror(errno));
}

int exists(const char *name)
{
    struct stat st;

    return lstat(name, &st) == 0;
}

ino_t inode_of(const char *name)
{
    struct stat st;

    ck_assert_int_eq(lstat(name, &st), 0);
    return st.st_ino;
}

unsigned mode_of(const char *name)
{
    struct stat st;

    ck_assert_int_eq(lstat(name, &st), 0);
    return st.st_mode & 07777;
}

int bind_raw(int type)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    return fd;
}

void leave_stale_socket(void)
{
    close(bind_raw(SOCK_STREAM));
    ck_assert_int_eq(connect_unix(path), -ECONNREFUSED);
}

void ck_answers(tcpx_listener *l)
{
    int client = connect_unix(path);
    tcpx_conn *c = NULL;

    ck_assert_int_ge(client, 0);
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
}
