/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot.c: vhdkit snapshot.  Freezes an image under a name of its own and
 * lets its name go on with a child; or makes a child of another name. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "message.h"
#include "verbs.h"

static const char *base;

static const struct option_spec options[] = {
  { .name = "base", .kind = OPTION_STRING, .value = &base, .argument = "NAME",
    .help = "what is frozen gets this name, on the same file system (default: "
            "that of IMAGE, and the time)" },
  { .name = NULL },
};

/* disk.vhd becomes disk-20261128-001500.vhd, or, where that is taken,
 * disk-20261128-001500-2.vhd; to be freed. */
static char *
frozen_name(const char *path)
{
  const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  const char *dot = strrchr(name, '.');
  size_t stem = dot && dot > name ? (size_t)(dot - path) : strlen(path);
  time_t now = time(NULL);
  struct tm tm;
  char when[32], more[16] = "";
  char *frozen;

  strftime(when, sizeof when, "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
  for (unsigned i = 2; i < 1000; i++) {
    if (asprintf(&frozen, "%.*s-%s%s%s", (int)stem, path, when, more,
                 path + stem) < 0)
      abort();
    if (access(frozen, F_OK) < 0)
      break;
    free(frozen);
    snprintf(more, sizeof more, "-%u", i);
  }
  return frozen;
}

static int
make_child(const char *image, const char *child)
{
  struct vhd_open_options open = image_open_options(0);
  struct vhd_create_options opt = {
    .parent = image,
    .roots = open.roots,
    .nroots = open.nroots,
  };
  struct vhd_error err = { 0 };

  if (vhd_create(child, &opt, &err) == 0)
    return EXIT_DONE;
  image_complain(&err, false);
  return EXIT_FAILED;
}

static int
freeze(const char *image)
{
  struct vhd_chain_options opt = { .open = image_open_options(0) };
  struct vhd_error err = { 0 };
  char *frozen = base ? strdup(base) : frozen_name(image);

  if (!frozen)
    abort();
  int r = vhd_snapshot(image, frozen, &opt, &err);
  if (r < 0)
    image_complain(&err, false);
  else
    printf("%s\n", frozen);
  free(frozen);
  return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
run(char **args)
{
  if (args[1] != NULL && base != NULL)
    return complain_usage("--base names what IMAGE becomes; with CHILD it "
                          "stays what it is");
  return args[1] != NULL ? make_child(args[0], args[1]) : freeze(args[0]);
}

const struct verb snapshot_verb = {
  .name = "snapshot",
  .summary = "freeze an image and go on with a child of it",
  .arguments = "IMAGE [CHILD]",
  .min_args = 1,
  .max_args = 2,
  .options = { options, root_options },
  .about = "Without CHILD, IMAGE goes on as the child, and the name of what "
           "was frozen is\nprinted.  At each moment there is an image of that "
           "name, of the same content.",
  .run = run,
};
