/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdkit.h: the one header of libvhdkit, which opens, serves and manages
 * VHD images (fixed, dynamic, differencing).
 *
 * Two ideas carry the whole interface:
 *
 *  - A struct vhd_image is an opened image and the chain of parents below it.
 *
 *  - A struct vhd_request is one read, write, zero, trim, flush or map of such
 *    an image, as a step machine that does no I/O itself.  Each step hands the
 *    caller a list of I/Os to carry out in any order, by whatever means the
 *    caller likes; or says that the request is parked behind another; or that
 *    it is done.  vhd_pread() and its sisters are that machine under the
 *    simplest driver, with plain system calls.
 *
 * Conventions: offsets and lengths are bytes unless a name says sec (sectors
 * of 512 bytes) or blk (blocks).  Functions return 0 or a negative errno; those
 * that take a struct vhd_error fill it, when it is not NULL, with a code and
 * a sentence for a person.  The library never prints and never exits.  Flags
 * that a function does not know are -EINVAL (VHD_ARGUMENT), never ignored.
 *
 * Room: a struct that callers allocate ends in .reserved, or names its padding
 * so, and keeps its size for as long as the library keeps its soname.  A new
 * field takes the beginning of that room.  So a program that was built with an
 * older header leaves 0 there, which means what the library did before; and a
 * library that finds anything but 0 in what it still takes for room refuses it
 * as it does an unknown flag.  In a struct that the library fills, room is 0.
 * Therefore: begin with { 0 } or with named members, never with random bytes.
 * A struct that only the library allocates, and tells of by a pointer, needs no
 * room: it grows at its end.
 *
 * Long work: whatever takes long has options with a struct vhd_progress.
 *
 * Threads: a struct vhd_image may be used by any number of threads at once,
 * save that nobody else may use it while it is being closed.  A struct
 * vhd_request belongs to one thread at a time.
 */
#ifndef VHDKIT_H
#define VHDKIT_H

#include "vhdkit_image.h"
#include "vhdkit_manage.h"

#endif
