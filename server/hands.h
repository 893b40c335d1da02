/* SPDX-License-Identifier: BSD-2-Clause */
/* hands.h: what rooms want done to files, as the requests and orders to helpers
 * (keeper/broker) that carry it out.  After broker_begin(); any thread; each
 * blocks until it is done. */
#ifndef SERVER_HANDS_H
#define SERVER_HANDS_H

#include "online/online.h"
#include "provision/disk_order.h"

struct server_child;

/* A client's own image of a disk: see server_config.h.  opaque is not used. */
int hands_make_child(void *opaque, const struct server_child *child,
                     struct vhd_error *err);
int hands_remove_child(void *opaque, const char *disk, const char *client,
                       struct vhd_error *err);

/* Images are changed as a whole; disks are looked at and changed. */
extern const struct online_hands hands_of_images;
extern const struct disk_hands hands_of_disks;

#endif
