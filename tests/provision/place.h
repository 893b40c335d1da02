/* SPDX-License-Identifier: BSD-2-Clause */
/* place.h: a disk with versions and children of clients, small ones, for tests;
 * and what there is of it, as a line of text.  One thread. */
#ifndef PROVISION_PLACE_H
#define PROVISION_PLACE_H

#include <stddef.h>

#include "provision/provision_config.h"
#include "vhdkit.h"

#define PLACE_DISK "d"
#define PLACE_SIZE (1ULL << 20)
#define PLACE_TEXT 4096

/* Folders below the one where the test runs, or, for children, on another file
 * system; not yet made. */
extern struct provision_config place;

/* Makes them, empty. */
void place_make(void);

/* A version that holds a byte of its own; 0: of no other's. */
void place_version(unsigned number, unsigned parent);
void place_link(const char *link, unsigned number);
/* A child of a version, that holds a byte of its own. */
void place_child(const char *client, const char *version, unsigned char byte);
/* The byte of an image that is open, or in a file. */
int place_byte(struct vhd_image *image);

/* Versions (number, < and its parent, its byte, r where it cannot be written
 * to, ! where something is wrong with it, and its text), links, and children
 * (name, version, byte); what cannot be read is told of as that. */
void place_tell(char text[PLACE_TEXT]);

/* What does not belong there, after all that was left is done; "": nothing. */
const char *place_stray(void);

/* Opens what is at path, and what it may be refused for is a test's end. */
struct vhd_image *place_open(const char *path, unsigned flags);

#endif
