/* SPDX-License-Identifier: MIT */
/*
 * firewall.h - a network of the test's own, with a firewall in it.
 *
 * Everything is on loopback: 192.0.2.1 to .3 and 2001:db8::1 to ::3 are this
 * host's, and nftables decides what becomes of a packet to them, and counts.
 */
#ifndef TESTS_FIREWALL_H
#define TESTS_FIREWALL_H

#define PORT 7001

/* Makes the network, for this process.  NULL, or why it cannot be. */
const char *firewall_network(void);

/* The same; skips the test where there can be none. */
#define FIREWALL()                                                             \
    do {                                                                       \
        const char *why = firewall_network();                                  \
        if (why)                                                               \
            skip_test("%s", why);                                              \
    } while (0)

/* Runs a command, which must succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What becomes of packets to PORT of an address: "drop", "reject with ...". */
void rule(const char *address, const char *verdict);

/* SYNs that came for the first address of a family. */
long syns(int family);

/* Waits for so long that the kernel would send a SYN again. */
void let_a_syn_pass(void);

/* Listens on PORT, on every address of one family. */
int listen_in(int family);

#endif
