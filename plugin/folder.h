/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.h: the names of a folder's images, for dir=.
 *
 * An image is called as its file, without .vhd.  Where there is no NAME.vhd,
 * NAME.VHD is NAME; where there are both, NAME.VHD has no name.  Blocks; any
 * thread; owns nothing. */
#ifndef PLUGIN_FOLDER_H
#define PLUGIN_FOLDER_H

#include <stddef.h>

/* The name that a client means, malloc()ed: a leading '/' is left out, as boot
 * scripts send one, and so is ".vhd" where the whole is no image's name.  NULL:
 * no image may have that name. */
char *folder_name(const char *folder, const char *asked);

/* Where the image of that name lies, or would, malloc()ed. */
char *folder_path(const char *folder, const char *name);

/* Each name, once, in order. */
struct folder_list {
  char **name;
  size_t n;
};

/* 0, or -1 with errno. */
int folder_list(const char *folder, struct folder_list *list);
void folder_list_free(struct folder_list *list);

#endif
