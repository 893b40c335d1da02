/* SPDX-License-Identifier: BSD-2-Clause */
/* vhd.c: nbdkit-vhd-plugin: VHD images for nbdkit and its filters.
 *
 * Glue only: what nbdkit asks is asked of libvhdkit.  Requests of all
 * connections run in parallel, each in the thread nbdkit calls with, through
 * the library's synchronous driver. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "exports.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define RUNS 64

/* --------------------------------------------------------------- parameters */

static int
set_path(char **to, const char *value)
{
  free(*to);
  *to = nbdkit_absolute_path(value);
  return *to ? 0 : -1;
}

static int
set_file(const char *value)
{
  return set_path(&params.file, value);
}

static int
set_dir(const char *value)
{
  return set_path(&params.dir, value);
}

static int
set_child(const char *value)
{
  return set_path(&params.child, value);
}

static int
add_root(const char *value)
{
  char **roots = realloc(params.roots, (params.nroots + 1) * sizeof *roots);

  if (!roots) {
    nbdkit_error("realloc: %m");
    return -1;
  }
  params.roots = roots;
  roots[params.nroots] = nbdkit_absolute_path(value);
  return roots[params.nroots++] ? 0 : -1;
}

static int
set_readonly(const char *value)
{
  int b = nbdkit_parse_bool(value);

  params.readonly = b == 1;
  return b < 0 ? -1 : 0;
}

static int
set_size_chs(const char *value)
{
  int b = nbdkit_parse_bool(value);

  params.size_chs = b == 1;
  return b < 0 ? -1 : 0;
}

static const struct {
  const char *key;
  int (*set)(const char *value);
} parameters[] = {
  { "file", set_file },   { "dir", set_dir },
  { "child", set_child }, { "roots", add_root },
  { "readonly", set_readonly }, { "size-chs", set_size_chs },
};

#define vhd_config_help                                                       \
  "[file=]IMAGE     The VHD image to serve.\n"                                \
  "dir=FOLDER       Serve each image of a folder, by its name without .vhd.\n" \
  "child=FOLDER     Keep the images as they are: changes go to a\n"            \
  "                 differencing child in this folder, made at the first.\n"  \
  "roots=FOLDER     Parents may lie in this folder too (may be repeated).\n"   \
  "readonly=true    Allow no changes.\n"                                      \
  "size-chs=true    Take the disk's size from its geometry."

static int
vhd_config(const char *key, const char *value)
{
  for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
    if (strcmp(key, parameters[i].key) == 0)
      return parameters[i].set(value);
  nbdkit_error("unknown parameter '%s'; see nbdkit-vhd-plugin(1)", key);
  return -1;
}

static int
vhd_config_complete(void)
{
  if ((params.file != NULL) == (params.dir != NULL)) {
    nbdkit_error(params.file ? "give either file= or dir=, not both"
                             : "give an image (file=IMAGE) or a folder of them "
                               "(dir=FOLDER)");
    return -1;
  }
  if (params.child && params.readonly) {
    nbdkit_error("child= is for changes, which readonly= forbids");
    return -1;
  }
  return 0;
}

static int
vhd_get_ready(void)
{
  return export_probe();
}

/* nbdkit calls this once it serves nobody any more.  Of the clients that were
 * connected when it was told to quit it does not close the handles. */
static void
vhd_cleanup(void)
{
  exports_finish();
}

static void
vhd_unload(void)
{
  exports_finish();
  for (size_t i = 0; i < params.nroots; i++)
    free(params.roots[i]);
  free(params.roots);
  free(params.file);
  free(params.dir);
  free(params.child);
}

static void
vhd_dump_plugin(void)
{
  printf("vhdkit_version=%s\n", vhd_version());
  printf("vhd_parameters=");
  for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
    printf("%s%s", i ? "," : "", parameters[i].key);
  printf("\nvhd_types=fixed,dynamic,differencing\n");
}

/* -------------------------------------------------------------- connections */

static int
add_export(void *exports, const char *name)
{
  return nbdkit_add_export(exports, name, NULL);
}

static int
vhd_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
  (void)is_tls;
  return export_list(readonly, add_export, exports);
}

static const char *
vhd_default_export(int readonly, int is_tls)
{
  (void)readonly;
  (void)is_tls;
  return params.dir ? NULL : "";
}

static void *
vhd_plugin_open(int readonly)
{
  const char *name = nbdkit_export_name();

  return name ? export_get(name, readonly) : NULL;
}

static void
vhd_plugin_close(void *handle)
{
  export_put(handle);
}

static const char *
vhd_export_description(void *handle)
{
  static const char *const types[] = {
    [VHD_FIXED] = "fixed", [VHD_DYNAMIC] = "dynamic",
    [VHD_DIFFERENCING] = "differencing",
  };
  struct vhd_image *image = export_begin(handle, false);
  struct vhd_info info;
  char text[60];

  if (!image)
    return NULL;
  vhd_get_info(image, &info);
  export_end(handle);
  snprintf(text, sizeof text, "%s %s", types[info.type],
           info.format == VHD_FORMAT_VHDX ? "VHDX" : "VHD");
  return nbdkit_strdup_intern(text);
}

static int64_t
vhd_get_size(void *handle)
{
  struct vhd_image *image = export_begin(handle, false);

  if (!image)
    return -1;
  int64_t size = (int64_t)vhd_size(image);
  export_end(handle);
  return size;
}

static int
vhd_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
               uint32_t *maximum)
{
  (void)handle;
  *minimum = 1;
  *preferred = 4096;
  *maximum = 0xffffffff;
  return 0;
}

static int
vhd_can_write(void *handle)
{
  return export_writable(handle);
}

static int
yes(void *handle)
{
  (void)handle;
  return 1;
}

static int
vhd_can_fua(void *handle)
{
  (void)handle;
  return NBDKIT_FUA_NATIVE;
}

static int
vhd_can_cache(void *handle)
{
  (void)handle;
  return NBDKIT_CACHE_NATIVE;
}

/* ----------------------------------------------------------------- requests */

/* Ends a request: its error is nbdkit's. */
static int
answer(struct export *e, int result, const char *what, uint32_t len,
       uint64_t off)
{
  export_end(e);
  if (result == 0)
    return 0;
  if (result != -ENOTSUP)
    nbdkit_error("%s of %u bytes at %llu: %s", what, len,
                 (unsigned long long)off, strerror(-result));
  nbdkit_set_error(-result);
  return -1;
}

static int
vhd_plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
                 uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, false);

  (void)flags;
  if (!image)
    return -1;
  return answer(handle, vhd_pread(image, buf, count, offset), "read", count,
                offset);
}

static int
vhd_plugin_pwrite(void *handle, const void *buf, uint32_t count,
                  uint64_t offset, uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, true);
  uint32_t fua = flags & NBDKIT_FLAG_FUA ? VHD_FUA : 0;

  if (!image)
    return -1;
  return answer(handle, vhd_pwrite(image, buf, count, offset, fua), "write",
                count, offset);
}

static int
vhd_plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, true);
  uint32_t f = (flags & NBDKIT_FLAG_FUA ? VHD_FUA : 0) |
               (flags & NBDKIT_FLAG_MAY_TRIM ? 0 : VHD_NO_HOLE) |
               (flags & NBDKIT_FLAG_FAST_ZERO ? VHD_FAST_ZERO : 0);

  if (!image)
    return -1;
  return answer(handle, vhd_zero(image, count, offset, f), "zero", count,
                offset);
}

static int
vhd_plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, true);
  uint32_t fua = flags & NBDKIT_FLAG_FUA ? VHD_FUA : 0;

  if (!image)
    return -1;
  return answer(handle, vhd_trim(image, count, offset, fua), "trim", count,
                offset);
}

/* There is nothing to flush before the first change, nor a reason to make a
 * child for it. */
static int
vhd_plugin_flush(void *handle, uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, false);

  (void)flags;
  if (!image)
    return -1;
  return answer(handle, vhd_flush(image), "flush", 0, 0);
}

/* Calls for each run of a range until it returns not 0. */
static int
each_run(struct vhd_image *image, uint32_t count, uint64_t offset,
         int (*each)(void *opaque, const struct vhd_run *run, uint64_t off),
         void *opaque)
{
  struct vhd_run run[RUNS];
  uint64_t end = offset + count;

  while (offset < end) {
    unsigned n = RUNS;
    int r = vhd_map(image, end - offset, offset, run, &n);
    if (r < 0)
      return r;
    for (unsigned i = 0; i < n; i++) {
      r = each(opaque, &run[i], offset);
      if (r != 0)
        return r;
      offset += run[i].len;
    }
  }
  return 0;
}

struct extents {
  struct nbdkit_extents *extents;
  bool one;
};

static int
add_extent(void *opaque, const struct vhd_run *run, uint64_t off)
{
  static const uint32_t types[] = {
    [VHD_RUN_DATA] = 0,
    [VHD_RUN_ZERO] = NBDKIT_EXTENT_ZERO,
    [VHD_RUN_HOLE] = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO,
  };
  struct extents *x = opaque;

  if (nbdkit_add_extent(x->extents, off, run->len, types[run->kind]) < 0)
    return -errno;
  return x->one;
}

static int
vhd_plugin_extents(void *handle, uint32_t count, uint64_t offset,
                   uint32_t flags, struct nbdkit_extents *extents)
{
  struct vhd_image *image = export_begin(handle, false);
  struct extents x = { extents, flags & NBDKIT_FLAG_REQ_ONE };

  if (!image)
    return -1;
  int r = each_run(image, count, offset, add_extent, &x);

  return answer(handle, r > 0 ? 0 : r, "block status", count, offset);
}

static int
read_ahead(void *opaque, const struct vhd_run *run, uint64_t off)
{
  (void)opaque;
  (void)off;
  if (run->kind == VHD_RUN_DATA && run->fd >= 0)
    posix_fadvise(run->fd, (off_t)run->file_off, (off_t)run->len,
                  POSIX_FADV_WILLNEED);
  return 0;
}

static int
vhd_plugin_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  struct vhd_image *image = export_begin(handle, false);

  (void)flags;
  if (!image)
    return -1;
  return answer(handle, each_run(image, count, offset, read_ahead, NULL),
                "cache", count, offset);
}

static struct nbdkit_plugin plugin = {
  .name = "vhd",
  .longname = "nbdkit VHD plugin",
  .version = PACKAGE_VERSION,
  .description = "serve fixed, dynamic and differencing VHD images",
  .magic_config_key = "file",
  .config = vhd_config,
  .config_complete = vhd_config_complete,
  .config_help = vhd_config_help,
  .get_ready = vhd_get_ready,
  .cleanup = vhd_cleanup,
  .unload = vhd_unload,
  .dump_plugin = vhd_dump_plugin,
  .list_exports = vhd_list_exports,
  .default_export = vhd_default_export,
  .open = vhd_plugin_open,
  .close = vhd_plugin_close,
  .export_description = vhd_export_description,
  .get_size = vhd_get_size,
  .block_size = vhd_block_size,
  .can_write = vhd_can_write,
  .can_flush = yes,
  .can_trim = yes,
  .can_zero = yes,
  .can_fast_zero = yes,
  .can_extents = yes,
  .can_multi_conn = yes,
  .can_fua = vhd_can_fua,
  .can_cache = vhd_can_cache,
  .pread = vhd_plugin_pread,
  .pwrite = vhd_plugin_pwrite,
  .zero = vhd_plugin_zero,
  .trim = vhd_plugin_trim,
  .flush = vhd_plugin_flush,
  .extents = vhd_plugin_extents,
  .cache = vhd_plugin_cache,
  .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
