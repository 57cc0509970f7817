/* SPDX-License-Identifier: MIT */
/*
 * network.h - a network of the test's own: no route out, its own names.
 */
#ifndef TESTS_NETWORK_H
#define TESTS_NETWORK_H

#include <pthread.h>

/*
 * Moves the calling process into a network of its own, in which only loopback
 * is up, and into a mount table of its own with an empty /etc.  To be called
 * before any thread is made.  Returns NULL, or why it cannot be done here.
 */
const char *enter_network(void);

/* Writes /etc/name, in the test's own /etc. */
void write_etc(const char *name, const char *text);

/* What the name server says to one question. */
enum dns_reply {
    DNS_SILENCE,
    DNS_NO_NAME,
    DNS_NO_DATA,
    DNS_FAILURE,
    DNS_ADDRESS /* .1 to .n of 192.0.2.0/24, or of 2001:db8::/64 */
};

typedef enum dns_reply dns_policy_fn(const char *name, int family, int *n);

struct dns {
    int fd;
    dns_policy_fn *policy;
    pthread_t thread;
};

/*
 * A name server on 127.0.0.1:53, asked by everybody in this network: writes
 * nsswitch.conf and resolv.conf.  Who gets no answer gives up after a second.
 */
void dns_start(struct dns *dns, dns_policy_fn *policy);
void dns_stop(struct dns *dns);

#endif
