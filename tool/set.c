/* SPDX-License-Identifier: BSD-2-Clause */
/* set.c: vhdkit set.  The library does it; this reads in which words it is
 * asked for. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "image.h"
#include "message.h"
#include "verbs.h"

static const char *id, *creator, *version, *os, *geometry, *created, *parent;
static bool with_children;

static const struct option_spec options[] = {
  { .name = "id", .kind = OPTION_STRING, .value = &id, .argument = "UUID",
    .help = "the unique id, or `new` for a new one" },
  { .name = "creator", .kind = OPTION_STRING, .value = &creator,
    .argument = "NAME", .help = "the program that made it: 1 to 4 characters" },
  { .name = "creator-version", .kind = OPTION_STRING, .value = &version,
    .argument = "M.N", .help = "that program's version" },
  { .name = "creator-os", .kind = OPTION_STRING, .value = &os,
    .argument = "NAME", .help = "the system that it ran on: Wi2k, Mac" },
  { .name = "geometry", .kind = OPTION_STRING, .value = &geometry,
    .argument = "C/H/S", .help = "cylinders, heads and sectors, or `auto` for "
                                 "what the size makes" },
  { .name = "created", .kind = OPTION_STRING, .value = &created,
    .argument = "TIME", .help = "when it was made: 2026-11-23T06:33:28Z, @ and "
                                "seconds since 1970, or `now`" },
  { .name = "parent", .kind = OPTION_STRING, .value = &parent,
    .argument = "IMAGE", .help = "where its parent lies: name and paths" },
  { .name = "with-children", .kind = OPTION_FLAG, .value = &with_children,
    .help = "id, created: also where other images are its children" },
  { .name = NULL },
};

/* Do the numbers take all of the text? */
static bool
read_version(const char *text, uint32_t *value)
{
  unsigned major, minor;
  int end = 0;

  if (strpbrk(text, "+- \t") != NULL ||
      sscanf(text, "%5u.%5u%n", &major, &minor, &end) != 2 ||
      text[end] != '\0' || major > 65535 || minor > 65535)
    return false;
  *value = major << 16 | minor;
  return true;
}

static bool
read_geometry(const char *text, struct vhd_set_options *opt)
{
  int end = 0;

  if (strcmp(text, "auto") == 0)
    return true;
  return strpbrk(text, "+- \t") == NULL &&
         sscanf(text, "%6u/%4u/%4u%n", &opt->cylinders, &opt->heads,
                &opt->sectors_per_track, &end) == 3 && text[end] == '\0' &&
         opt->cylinders != 0;
}

static bool
read_time(const char *text, int64_t *seconds)
{
  struct tm tm = { 0 };
  char *end;

  if (strcmp(text, "now") == 0) {
    *seconds = time(NULL);
    return true;
  }
  if (*text == '@') {
    errno = 0;
    *seconds = strtoll(text + 1, &end, 10);
    return errno == 0 && end > text + 1 && *end == '\0';
  }
  const char *rest = strptime(text, "%Y-%m-%d", &tm);
  if (rest == NULL || (*rest != 'T' && *rest != ' '))
    return false;
  rest = strptime(rest + 1, "%H:%M:%S", &tm);
  if (rest == NULL || (strcmp(rest, "Z") != 0 && strcmp(rest, " UTC") != 0))
    return false;
  const int day = tm.tm_mday, second = tm.tm_sec;
  *seconds = timegm(&tm);
  return tm.tm_mday == day && tm.tm_sec == second; /* else there is none such */
}

static bool
read_options(struct vhd_set_options *opt)
{
  if (id != NULL) {
    opt->flags |= VHD_SET_ID;
    opt->id = strcmp(id, "new") == 0 ? NULL : id;
  }
  if (version != NULL) {
    opt->flags |= VHD_SET_VERSION;
    if (!read_version(version, &opt->creator_version)) {
      complain_usage("--creator-version %s: a version is two numbers, as 6.3",
                     version);
      return false;
    }
  }
  if (geometry != NULL) {
    opt->flags |= VHD_SET_GEOMETRY;
    if (!read_geometry(geometry, opt)) {
      complain_usage("--geometry %s: three numbers with slashes between them, "
                     "or auto", geometry);
      return false;
    }
  }
  if (created != NULL) {
    opt->flags |= VHD_SET_TIME;
    if (!read_time(created, &opt->timestamp)) {
      complain_usage("--created %s: a time looks like 2026-11-23T06:33:28Z, @ "
                     "and seconds since 1970, or now", created);
      return false;
    }
  }
  return true;
}

static int
run(char **args)
{
  struct vhd_set_options opt = {
    .open = image_open_options(0),
    .flags = with_children ? VHD_SET_CHILDREN : 0,
    .creator = creator,
    .creator_os = os,
    .parent = parent,
  };
  struct vhd_error err = { 0 };

  if (!read_options(&opt))
    return EXIT_FAILED;
  if (vhd_set(args[0], &opt, &err) == 0)
    return EXIT_DONE;
  /* Nothing is damaged: it is another image that was named. */
  if (err.code == VHD_PARENT_ID)
    exits_note(EXIT_USAGE);
  image_complain(&err, false);
  return EXIT_FAILED;
}

const struct verb set_verb = {
  .name = "set",
  .summary = "change what an image says of itself",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options },
  .about = "The disk stays as it is.  Whenever it ends, all is changed that is "
           "asked for, or nothing.",
  .run = run,
};
