/* SPDX-License-Identifier: BSD-2-Clause */
/* command_line_exports.c: the exports of vhdkitd's command line: NAME=IMAGE and
 * what options say of single ones.  See command_line_exports.h. */
#include "config.h"

#include "config/command_line_exports.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nbd/protocol.h"
#include "nbd/text.h"

int
complain(struct complaint *complaint, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(complaint->text, complaint->size, fmt, ap);
  va_end(ap);
  return -EINVAL;
}

int
complain_where(struct complaint *complaint, const char *where)
{
  char *what = strdup(complaint->text);

  if (what)
    complain(complaint, "%s: %s", where, what);
  free(what);
  return -EINVAL;
}

/* What clients are to be sent must be as the protocol wants it. */
static int
check_string(const char *what, const char *text, struct complaint *complaint)
{
  size_t len = strlen(text);

  if (len > NBD_MAX_STRING) {
    return complain(complaint, "%s has at most %d bytes", what,
                    NBD_MAX_STRING);
  }
  for (const unsigned char *s = (const unsigned char *)text; *s; s++)
    if (*s < 0x20 || *s == 0x7f)
      return complain(complaint, "%s has a control character in it", what);
  if (!nbd_text_valid(text, len))
    return complain(complaint, "%s is not valid UTF-8", what);
  return 0;
}

int
options_list_append(struct options_list *list, const char *value)
{
  const char **items = reallocarray(list->items, list->n + 1, sizeof *items);

  if (!items)
    return -ENOMEM;
  list->items = items;
  items[list->n++] = value;
  return 0;
}

int
options_own(struct options *opt, char *text)
{
  int r = options_list_append(&opt->owned, text);

  if (r < 0)
    free(text);
  return r;
}

int
options_append_export(struct options *opt, const struct options_export *export,
                      const char *name, struct complaint *complaint)
{
  if (export->path[0] == '\0')
    return complain(complaint, "an image's name is empty");
  struct options_export *exports =
    reallocarray(opt->exports, opt->nexports + 1, sizeof *exports);
  if (!exports)
    return complain(complaint, "out of memory");
  opt->exports = exports;
  exports += opt->nexports;
  *exports = *export;
  exports->name = name ? strdup(name) : NULL;
  if (name && !exports->name)
    return complain(complaint, "out of memory");
  opt->nexports++;
  int r = name ? check_string("the name of an export", name, complaint) : 0;
  return r == 0 && export->description
           ? check_string("a description", export->description, complaint)
           : r;
}

/* NAME=IMAGE, or a path.  A slash before the equal sign makes it a path: an
 * image called a=b.vhd is served as ./a=b.vhd. */
int
options_add_export(struct options *opt, const char *value,
                   struct complaint *complaint)
{
  struct options_export export = { .path = value };
  size_t name_len = strcspn(value, "=/");

  if (value[name_len] != '=')
    return options_append_export(opt, &export, NULL, complaint);
  export.path = value + name_len + 1;
  if (*export.path == '\0')
    return complain(complaint,
                    "'%s': the image is missing behind the =", value);
  char *name = strndup(value, name_len);
  if (!name)
    return complain(complaint, "out of memory");
  int r = options_append_export(opt, &export, name, complaint);
  free(name);
  return r;
}

static int
compare_names(const void *a, const void *b)
{
  const struct options_export *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

static const char *
where_of(const struct options_export *export)
{
  return export->where ? export->where : "the command line";
}

/* A name is given once. */
static int
check_names(const struct options *opt, struct complaint *complaint)
{
  const struct options_export **named =
    calloc(opt->nexports + 1, sizeof *named);
  if (!named)
    return complain(complaint, "out of memory");
  size_t n = 0;
  for (size_t i = 0; i < opt->nexports; i++)
    if (opt->exports[i].name)
      named[n++] = &opt->exports[i];
  int r = 0;
  qsort(named, n, sizeof *named, compare_names);
  for (size_t i = 1; r == 0 && i < n; i++)
    if (strcmp(named[i - 1]->name, named[i]->name) == 0)
      r = complain(complaint, "two exports are named '%s' (%s, %s)",
                   named[i]->name, where_of(named[i - 1]), where_of(named[i]));
  free(named);
  return r;
}

/* ------------------------------------------------- what is said of exports */

/* The export of that name; a lone image's is empty. */
static struct options_export *
find_export(struct options *opt, const char *name, size_t len)
{
  for (size_t i = 0; i < opt->nexports; i++) {
    const char *its = opt->exports[i].name ? opt->exports[i].name : "";
    if (strlen(its) == len && memcmp(its, name, len) == 0)
      return &opt->exports[i];
  }
  return NULL;
}

static int
add_description(struct options *opt, const char *value,
                struct complaint *complaint)
{
  size_t len = strcspn(value, "=");

  if (value[len] != '=')
    return complain(complaint, "--description: '%s' is not NAME=TEXT", value);
  struct options_export *export = find_export(opt, value, len);
  if (!export) {
    return complain(complaint, "--description: no export is named '%.*s'",
                    (int)len, value);
  }
  export->description = value + len + 1;
  return check_string("a description", export->description, complaint);
}

static int
add_tls_only(struct options *opt, const char *name,
             struct complaint *complaint)
{
  struct options_export *export = find_export(opt, name, strlen(name));

  if (!export)
    return complain(complaint, "--tls-only: no export is named '%s'", name);
  export->tls_only = true;
  return 0;
}

static int
add_properties(struct options *opt, struct complaint *complaint)
{
  int r = 0;

  for (size_t i = 0; r == 0 && i < opt->descriptions.n; i++)
    r = add_description(opt, opt->descriptions.items[i], complaint);
  for (size_t i = 0; r == 0 && i < opt->tls_only.n; i++)
    r = add_tls_only(opt, opt->tls_only.items[i], complaint);
  return r;
}

static int
check_tls_only(const struct options *opt, struct complaint *complaint)
{
  for (size_t i = 0; opt->tls == OPTIONS_TLS_OFF && i < opt->nexports; i++)
    if (opt->exports[i].tls_only)
      return complain(complaint,
                      "--tls-only %s: nobody could reach it; say --tls=on too",
                      opt->exports[i].name ? opt->exports[i].name : "");
  return 0;
}

/* --------------------------------------------------------------- the whole */

int
options_check_exports(struct options *opt, struct complaint *complaint)
{
  if (opt->nexports == 0 && !opt->provision.disks) {
    return complain(complaint,
                    "nothing to serve: name an image, NAME=IMAGE or a "
                    "directory of images");
  }
  for (size_t i = 0; i < opt->nexports; i++) {
    if (!opt->exports[i].name && opt->provision.disks) {
      return complain(complaint, "'%s' needs a name beside --disks: NAME=%s",
                      opt->exports[i].path, opt->exports[i].path);
    }
    if (!opt->exports[i].name && opt->nexports > 1) {
      return complain(complaint,
                      "'%s' is not alone, so it needs a name: NAME=%s; or, if "
                      "it is a folder, leave out the others",
                      opt->exports[i].path, opt->exports[i].path);
    }
  }
  int r = check_names(opt, complaint);
  if (r == 0)
    r = add_properties(opt, complaint);
  return r < 0 ? r : check_tls_only(opt, complaint);
}
