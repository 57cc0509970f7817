/* SPDX-License-Identifier: MIT */
/*
 * network.c - a network of the test's own: no route out, its own names.
 */
#include "network.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include "support.h"

static const char *because(const char *what)
{
    static char why[128];

    (void)snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
    return why;
}

static int loopback_up(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int rc = fd < 0 ? -1 : ioctl(fd, SIOCGIFFLAGS, &lo);

    if (rc == 0) {
        lo.ifr_flags = (short)(lo.ifr_flags | IFF_UP);
        rc = ioctl(fd, SIOCSIFFLAGS, &lo);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

/*
 * Keeps what is mounted from now on out of the other namespaces.  In a chroot
 * the root is no mount of its own and cannot be told so; there it is enough
 * that no mount is shared.
 */
static int keep_mounts_private(void)
{
    char line[1024];
    int shared = 0;
    FILE *mounts;

    if (mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts)
        return -1;
    while (fgets(line, sizeof(line), mounts))
        shared |= strstr(line, " shared:") != NULL;
    (void)fclose(mounts);
    errno = EINVAL;
    return shared ? -1 : 0;
}

const char *enter_network(void)
{
    if (geteuid() != 0)
        return "a network of its own needs root";
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
        return because("unshare");
    if (loopback_up() < 0)
        return because("lo");
    if (keep_mounts_private() < 0 ||
        mount("tmpfs", "/etc", "tmpfs", 0, NULL) < 0)
        return because("mount");

    return NULL;
}

void write_etc(const char *name, const char *text)
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/etc/%s", name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- The name server --------------------------------------------------- */

#define HEADER 12 /* RFC 1035 4.1.1 */
#define TYPE_A 1
#define TYPE_AAAA 28

/* The name of the question in dotted form; returns where the question ends. */
static size_t read_question(const uint8_t *packet, size_t len, char *name,
                            int *type)
{
    size_t at = HEADER;

    while (at < len && packet[at]) {
        size_t n = packet[at++];

        if (n > 63 || at + n >= len)
            return 0;
        memcpy(name, packet + at, n);
        name += n;
        *name++ = '.';
        at += n;
    }
    if (at + 5 > len)
        return 0;
    name[at > HEADER ? -1 : 0] = 0;
    *type = packet[at + 1] << 8 | packet[at + 2];
    return at + 5;
}

static size_t put_record(uint8_t *p, int type, int i)
{
    static const uint8_t net4[4] = {192, 0, 2, 0};
    static const uint8_t net6[16] = {0x20, 0x01, 0x0d, 0xb8};
    /* A pointer to the question's name, type, class IN, a minute, length. */
    uint8_t head[12] = {0xc0, HEADER, 0, (uint8_t)type,          0, 1, 0, 0,
                        0,    60,     0, type == TYPE_A ? 4 : 16};
    size_t size = head[11];

    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), type == TYPE_A ? net4 : net6, size);
    p[sizeof(head) + size - 1] = (uint8_t)i;
    return sizeof(head) + size;
}

static size_t make_reply(const struct dns *dns, uint8_t *packet, size_t len)
{
    char name[256];
    int type = 0, n = 1;
    size_t end = len > HEADER ? read_question(packet, len, name, &type) : 0;
    enum dns_reply reply;

    if (end == 0)
        return 0;
    reply = type == TYPE_A || type == TYPE_AAAA
                ? dns->policy(name, type == TYPE_A ? AF_INET : AF_INET6, &n)
                : DNS_NO_DATA;
    if (reply == DNS_SILENCE)
        return 0;

    packet[2] = 0x84 | (packet[2] & 1); /* an answer, by who should know */
    packet[3] = reply == DNS_NO_NAME ? 3 : reply == DNS_FAILURE ? 2 : 0;
    memset(packet + 6, 0, 6);
    if (reply != DNS_ADDRESS)
        return end;
    packet[7] = (uint8_t)n;
    for (int i = 1; i <= n; i++)
        end += put_record(packet + end, type, i);
    return end;
}

static void *serve(void *arg)
{
    struct dns *dns = arg;
    uint8_t packet[2048];

    for (;;) {
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof(peer);
        ssize_t len = recvfrom(dns->fd, packet, 512, 0,
                               (struct sockaddr *)&peer, &peer_len);
        size_t n = len > 0 ? make_reply(dns, packet, (size_t)len) : 0;

        if (len == 0)
            return NULL; /* dns_stop() sends the only empty datagram */
        if (n > 0)
            (void)sendto(dns->fd, packet, n, 0, (struct sockaddr *)&peer,
                         peer_len);
    }
}

void dns_start(struct dns *dns, dns_policy_fn *policy)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(53),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};

    write_etc("nsswitch.conf", "hosts: files dns\nservices: files\n");
    write_etc("resolv.conf",
              "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");

    dns->policy = policy;
    dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(dns->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    dns->thread = start_thread(serve, dns);
}

void dns_stop(struct dns *dns)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    ck_assert_int_eq(getsockname(dns->fd, (struct sockaddr *)&sa, &len), 0);
    ck_assert_int_eq(sendto(fd, "", 0, 0, (struct sockaddr *)&sa, len), 0);
    end_thread(dns->thread);
    close(fd);
    close(dns->fd);
}
