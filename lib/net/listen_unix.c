/* SPDX-License-Identifier: MIT */
/*
 * listen_unix.c - listening sockets of the Unix family, and their files.
 *
 * A file is stale once no socket is bound to it, and stays so for ever: a bind
 * makes a new file.  So a look for a socket cannot go out of date; only the
 * path can come to name another file between the look and the removal.  Every
 * starter therefore removes under a lock on the directory, and every owner
 * removes its own file before it closes its socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "base/task.h"
#include "io/world.h"
#include "net/listener.h"

#define DEFAULT_MODE 0600

/* The lock is held for a few system calls; who holds it longer is no starter
   of ours. */
#define LOCK_PATIENCE (1 * TCPX_SEC)
#define LOCK_PAUSE (1 * TCPX_MSEC)

static int fail(const struct tcpx__listen_plan *plan, int err,
                const char *detail)
{
    return tcpx__fail_because(err, plan->operation, plan->shown, "%s%s%s",
                              tcpx_strerror(err), *detail ? "; " : "", detail);
}

/* Opens the directory of a path. */
static int open_directory(const char *path, int flags)
{
    char directory[TCPX__UNIX_MAX + 2];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;

    memcpy(directory, path, len);
    memcpy(directory + len, ".", 2);
    return tcpx__sys_open(directory, O_DIRECTORY | flags, 0);
}

/*
 * Where anybody may rename what is not theirs, a socket's file is worth
 * nothing: anybody could put their own in its place.
 */
static int check_directory(const struct tcpx__listen_plan *plan,
                           const char *path)
{
    struct stat st;
    int fd = open_directory(path, O_PATH);
    int err;

    if (fd < 0)
        return fail(plan, fd, "the socket's directory");
    err = tcpx__sys_fstat(fd, &st);
    tcpx__sys_close(fd);
    if (err)
        return fail(plan, err, "the socket's directory");
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return tcpx__fail_because(-EACCES, plan->operation, plan->shown,
                                  "anybody may replace files in its "
                                  "directory; chmod o-w or +t it");
    return 0;
}

static const char *what_is(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "an ordinary file is in the way";
    case S_IFDIR:
        return "a directory is in the way";
    case S_IFLNK:
        return "a symbolic link is in the way";
    default:
        return "something that is no socket is in the way";
    }
}

/*
 * Whether a socket is bound to the file.  A datagram socket asks: to a stream
 * socket the kernel refuses it as of the wrong type, whether that listens
 * already or not, and no server meets a client that wants nothing.
 */
static int probe(const struct tcpx__endpoint *local)
{
    int fd = tcpx__sys_socket(AF_UNIX, SOCK_DGRAM, 0);
    int err;

    if (fd < 0)
        return fd;
    err = tcpx__sys_connect(fd, &local->sa, local->len);
    tcpx__sys_close(fd);
    return err;
}

/* Removes what is at the path, if it is a stale socket; under the lock. */
static int remove_stale(const struct tcpx__listen_plan *plan,
                        const struct tcpx__endpoint *local)
{
    const char *path = local->un.sun_path;
    struct stat st;
    int err = tcpx__sys_lstat(path, &st);

    if (err == -ENOENT)
        return 0; /* its owner removed it meanwhile */
    if (err)
        return fail(plan, err, "");
    if (!S_ISSOCK(st.st_mode))
        return fail(plan, -EADDRINUSE, what_is(st.st_mode));
    err = probe(local);
    switch (err) {
    case -ECONNREFUSED:
        err = tcpx__sys_unlink(path);
        if (!err || err == -ENOENT)
            return 0;
        return tcpx__fail_because(-EADDRINUSE, plan->operation, plan->shown,
                                  "a stale socket is in the way and cannot be "
                                  "removed: %s",
                                  tcpx_strerror(err));
    case -ENOENT:
        return 0;
    case 0:
        return fail(plan, -EADDRINUSE, "a datagram socket is in the way");
    case -EPROTOTYPE:
        return fail(plan, -EADDRINUSE, "a live socket is there");
    case -EACCES:
        return fail(plan, -EADDRINUSE, "the socket there is not ours to try");
    default:
        return fail(plan, err, "");
    }
}

static int lock(int fd)
{
    tcpx_time until = tcpx_after(LOCK_PATIENCE);
    int err;

    while ((err = tcpx__sys_flock(fd, LOCK_EX | LOCK_NB)) == -EAGAIN) {
        if (tcpx__sys_now() >= until ||
            tcpx__world()->park(tcpx_after(LOCK_PAUSE)) == TCPX_ECANCELED)
            return -EAGAIN;
    }
    return err;
}

/* Makes room at the path, if nobody is using what is there. */
static int make_room(const struct tcpx__listen_plan *plan,
                     const struct tcpx__endpoint *local)
{
    int fd = open_directory(local->un.sun_path, O_RDONLY);
    int err = fd;

    if (fd >= 0)
        err = lock(fd);
    if (err < 0)
        err = tcpx__fail_because(-EADDRINUSE, plan->operation, plan->shown,
                                 "its directory cannot be locked to see "
                                 "whether the socket there is stale: %s",
                                 tcpx_strerror(err));
    else
        err = remove_stale(plan, local);
    tcpx__sys_close(fd); /* which unlocks it */
    return err;
}

static int bind_path(const struct tcpx__listen_plan *plan, int fd,
                     const struct tcpx__endpoint *local)
{
    int err = tcpx__sys_bind(fd, &local->sa, local->len);

    if (err == -EADDRINUSE) {
        err = make_room(plan, local);
        if (err)
            return err;
        err = tcpx__sys_bind(fd, &local->sa, local->len);
    }
    return err ? fail(plan, err, "") : 0;
}

/* Remembers where a file will be.  Where the kernel has no name for the working
   directory, the path must do as it is. */
static int set_path(struct tcpx__socket_file *file, const char *path)
{
    char directory[PATH_MAX];
    size_t len = strlen(path) + 1;

    file->given = 0;
    if (path[0] != '/' && tcpx__sys_getcwd(directory, sizeof(directory)) == 0) {
        file->given = strlen(directory) + 1;
        directory[file->given - 1] = '/';
    }
    file->path = tcpx__malloc(file->given + len);
    if (!file->path)
        return -ENOMEM;
    memcpy(file->path, directory, file->given);
    memcpy(file->path + file->given, path, len);
    return 0;
}

static void forget(struct tcpx__socket_file *file)
{
    tcpx__free(file->path);
    file->path = NULL;
}

/* Through a descriptor, so that no link can lead the change elsewhere. */
static int change_mode(const struct tcpx__socket_file *file, mode_t mode)
{
    char self[32];
    struct stat st;
    int fd = tcpx__sys_open(file->path + file->given, O_PATH | O_NOFOLLOW, 0);
    int err;

    if (fd < 0)
        return fd;
    err = tcpx__sys_fstat(fd, &st);
    if (!err && (st.st_dev != file->device || st.st_ino != file->inode))
        err = -EADDRINUSE;
    if (!err) {
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        err = tcpx__sys_chmod(self, mode);
    }
    tcpx__sys_close(fd);
    return err;
}

/*
 * Remembers the file that bind made.  It has its mode from the first instant,
 * but for what the umask took away; that is put back before anybody can
 * connect, without touching the umask, which belongs to the whole process.
 */
static int settle_file(struct tcpx__socket_file *file,
                       const struct tcpx__endpoint *local, mode_t mode)
{
    struct stat st;
    int err = tcpx__sys_lstat(local->un.sun_path, &st);

    if (!err && !S_ISSOCK(st.st_mode))
        err = -EADDRINUSE;
    if (err)
        return err;
    file->maker = tcpx__sys_getpid();
    file->device = st.st_dev;
    file->inode = st.st_ino;
    if ((st.st_mode & 07777) == mode)
        return 0;
    return change_mode(file, mode);
}

static int listen_at_file(const struct tcpx__listen_plan *plan, int fd,
                          const struct tcpx__endpoint *local,
                          struct tcpx__socket_file *file, mode_t mode)
{
    int err = settle_file(file, local, mode);

    if (!err)
        err = tcpx__sys_listen(fd, tcpx__listen_backlog(plan));
    if (err) {
        tcpx__socket_file_remove(file);
        return fail(plan, err, "the socket's file");
    }
    if (plan->opts.keep_socket_file)
        forget(file);
    return 0;
}

static int listen_at_path(const struct tcpx__listen_plan *plan, int fd,
                          const struct tcpx__endpoint *local,
                          struct tcpx__socket_file *file)
{
    mode_t mode =
        plan->opts.unix_mode ? (mode_t)plan->opts.unix_mode : DEFAULT_MODE;
    int err = check_directory(plan, local->un.sun_path);

    if (err)
        return err;
    /* Of a socket that is not bound yet, it is the mode that bind gives. */
    err = tcpx__sys_fchmod(fd, mode);
    if (err)
        return fail(plan, err, "the socket's mode");
    err = set_path(file, local->un.sun_path);
    if (err)
        return fail(plan, err, "");
    err = bind_path(plan, fd, local);
    if (err) {
        forget(file);
        return err;
    }
    return listen_at_file(plan, fd, local, file, mode);
}

static int listen_at_name(const struct tcpx__listen_plan *plan, int fd,
                          const struct tcpx__endpoint *local)
{
    int err = tcpx__sys_bind(fd, &local->sa, local->len);

    if (!err)
        err = tcpx__sys_listen(fd, tcpx__listen_backlog(plan));
    return err ? fail(plan, err, "") : 0;
}

int tcpx__listen_unix(const struct tcpx__listen_plan *plan,
                      const tcpx_address *address,
                      struct tcpx__socket_file *file)
{
    struct tcpx__endpoint local;
    int err = tcpx__endpoint_of(&local, address, 0);
    int fd;

    if (err)
        return fail(plan, err, "");
    fd = tcpx__tuning_socket(AF_UNIX, 0, &plan->tuning);
    if (fd < 0)
        return fail(plan, fd, "");
    err = tcpx__listen_control(plan, fd);
    if (!err)
        err = address->kind == TCPX_ADDRESS_ABSTRACT
                  ? listen_at_name(plan, fd, &local)
                  : listen_at_path(plan, fd, &local, file);
    if (err) {
        tcpx__sys_close(fd);
        return err;
    }
    return fd;
}

/* Whether what is at the path is the file. */
static int is_at(const struct tcpx__socket_file *file, const char *path)
{
    struct stat st;

    return tcpx__sys_lstat(path, &st) == 0 && st.st_dev == file->device &&
           st.st_ino == file->inode;
}

void tcpx__socket_file_remove(struct tcpx__socket_file *file)
{
    if (!file->path)
        return;
    if (file->maker == tcpx__sys_getpid()) {
        if (is_at(file, file->path))
            tcpx__sys_unlink(file->path);
        else if (file->given && is_at(file, file->path + file->given))
            tcpx__sys_unlink(file->path + file->given);
    }
    forget(file);
}
