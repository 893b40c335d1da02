/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.h: many requests on one image, stepped by hand: what they ask for is
 * carried out when the test says so.  One thread. */
#ifndef CREW_H
#define CREW_H

#include "vhdkit.h"

enum hand_state { HAND_READY, HAND_WAITS, HAND_PARKED, HAND_DONE };

struct hand {
  struct vhd_request req;
  enum hand_state state;
};

/* Begins a request; it is stepped by the calls below. */
void hand_start(struct hand *h, struct vhd_image *image, enum vhd_op op,
                uint64_t off, uint64_t len, void *buf, uint32_t flags);
/* One step, if it is ready. */
void hand_step(struct hand *h);
/* Carries out the I/Os of a step; then it is ready. */
void hand_perform(struct hand *h);
/* Steps and performs until it is done or parked. */
void hand_go(struct hand *h);

/* Steps all that are ready; then performs the I/Os of the last of those that
 * wait, again and again, until all are done: the first to begin are the last to
 * end.  Fails the test when all are parked. */
void crew_work(struct hand *h, unsigned n);

/* No test of these may spin for ever: it is killed after so much CPU time. */
void crew_bound_cpu(unsigned seconds);

/* Creates an image, a child where parent is not NULL, and opens it. */
struct vhd_image *crew_open(const char *path, const char *parent,
                            uint64_t size, uint32_t block_size);

#endif
