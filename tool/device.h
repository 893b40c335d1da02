/* SPDX-License-Identifier: BSD-2-Clause */
/* device.h: the files that a block device is made of.  One thread. */
#ifndef TOOL_DEVICE_H
#define TOOL_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

/* Does `is` say yes to a file that the block device keeps its bytes in, be it
 * through partitions, loop devices and what the device mapper makes of them?
 * node: a path that the device can be opened by.  What the system does not
 * show is nothing to ask about. */
bool device_lies_on(dev_t device, const char *node,
                    bool (*is)(void *opaque, dev_t dev, ino_t ino),
                    void *opaque);

#endif
