/* SPDX-License-Identifier: BSD-2-Clause */
/* attach.c: vhdkit attach.  Serves an image to this machine alone, and makes a
 * device or a file of it; or lists what is attached. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/client.h"
#include "attach/folder.h"
#include "attach/listing.h"
#include "attach/session.h"
#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "verbs.h"

static bool readonly, size_chs, list, json;
static int with = WITH_AUTO;

static const struct option_choice with_choices[] = {
  { "auto", WITH_AUTO },
  { "nbd", WITH_NBD },
  { "fuse", WITH_FUSE },
  { "socket", WITH_SOCKET },
  { NULL, 0 },
};

static const struct option_spec options[] = {
  { .name = "json", .kind = OPTION_FLAG, .value = &json,
    .help = "print JSON" },
  { .name = "list", .kind = OPTION_FLAG, .value = &list,
    .help = "list what is attached, as without IMAGE" },
  { .name = "readonly", .kind = OPTION_FLAG, .value = &readonly,
    .help = "let nobody write" },
  { .name = "size-chs", .kind = OPTION_FLAG, .value = &size_chs,
    .help = "take the size of the disk from its geometry, as Virtual PC does" },
  { .name = "with", .kind = OPTION_CHOICE, .value = &with, .argument = "WAY",
    .choices = with_choices,
    .help = "nbd: a device of the kernel's; fuse: a file, by nbdfuse; socket: "
            "no more than the server's socket; auto: the first of these that "
            "there is but the socket (default)" },
  { .name = NULL },
};

/* ---------------------------------------------------------------- attaching */

/* The caller must know of it, and must want it still: else it is to end. */
static int
announce(void *opaque, const struct entry *entry, struct attachment *a)
{
  (void)opaque;
  (void)entry;
  if (interrupt_pending()) {
    complain("interrupted");
    return -1;
  }
  if (printf("%s\n", a->device) >= 0 && fflush(stdout) == 0)
    return 0;
  complain("cannot write the output: %s; nothing is attached",
           strerror(errno));
  return -1;
}

static int
begin(const struct folder *folder, struct attachment *a)
{
  struct vhd_open_options open = image_open_options(0);
  struct session_options opt = { .roots = open.roots, .nroots = open.nroots,
                                 .size_chs = size_chs };

  return session_begin(folder, a, &opt, announce, NULL);
}

static int
attach(const char *name)
{
  struct attachment a = { .with = (enum attach_with)with,
                          .readonly = readonly };
  struct folder folder;

  interrupt_catch();
  if (client_choose(&a.with) < 0 || client_find_image(name, &a) < 0 ||
      client_choose_device(&a) < 0 || folder_open(&folder, true) < 0) {
    attachment_free(&a);
    return EXIT_FAILED;
  }
  int r = begin(&folder, &a);
  folder_close(&folder);
  attachment_free(&a);
  interrupt_obey();
  return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
run(char **args)
{
  if (args[0] == NULL)
    return listing_print(json) < 0 ? EXIT_FAILED : EXIT_DONE;
  if (list || json) {
    return complain_usage("--%s is for the list, which takes no IMAGE",
                          list ? "list" : "json");
  }
  return attach(args[0]);
}

const struct verb attach_verb = {
  .name = "attach",
  .summary = "make a disk of this machine of an image, or list those",
  .arguments = "[IMAGE]",
  .max_args = 1,
  .options = { options, root_options },
  .about = "Prints the path of the device, file or socket.  vhdkit detach "
           "takes it away.",
  .run = run,
};
