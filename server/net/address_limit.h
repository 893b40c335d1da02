/* SPDX-License-Identifier: BSD-2-Clause */
/* address_limit.h: how many connections each address has.  IP addresses are
 * compared as numbers, whole; an IPv4 address mapped into IPv6 is that IPv4
 * address; of IPv6 the first 64 bits count, which is what one customer has.
 * What an address is to a network, a user is to a Unix socket, and to vsock a
 * virtual machine.  Any thread. */
#ifndef SERVER_NET_ADDRESS_LIMIT_H
#define SERVER_NET_ADDRESS_LIMIT_H

struct address_limit;
struct peer;
struct visitor;

struct address_limit *
address_limit_new(unsigned max); /* for one address; 0: any number */
void address_limit_free(struct address_limit *limit);

/* One more of this address.  0 with *peer, or NULL in *peer where addresses do
 * not count (it is unknown, no limit); -EDQUOT, -ENOMEM. */
int address_limit_enter(struct address_limit *limit,
                        const struct visitor *visitor, struct peer **peer);
/* One less.  NULL is fine. */
void address_limit_leave(struct address_limit *limit, struct peer *peer);

#endif
