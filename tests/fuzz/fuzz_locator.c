/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz-locator: the parsers of all structures on disk, locators and the paths
 * in them above all.
 *
 * Input: a byte that chooses the parser, then what it parses; of a path, first
 * the 4 bytes of its code. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/utf.h"
#include "format/batmap.h"
#include "format/footer.h"
#include "format/guid.h"
#include "format/header.h"
#include "fuzz/fuzz.h"
#include "unit/field.h"

static void
fuzz_path(struct fuzz_input in)
{
  uint32_t code = (uint32_t)fuzz_take(&in, 4);
  char path[2 * LOCATOR_MAX_LEN];
  bool relative;
  int r = locator_path(code, in.data, in.size, path, sizeof path, &relative);
  FUZZ_ASSERT(r == 0 || r == -ENOENT || r == -EINVAL || r == -ENAMETOOLONG);
  if (r < 0)
    return;
  size_t len = strlen(path);
  FUZZ_ASSERT(len > 0 && relative == (path[0] != '/'));
  FUZZ_ASSERT(utf8_valid(path, len) && !utf8_has_control(path, len));

  /* It fits nowhere smaller, and as well in just so much. */
  char *exact = malloc(len + 4);
  FUZZ_ASSERT(exact != NULL);
  bool again;
  r = locator_path(code, in.data, in.size, exact, len, &again);
  FUZZ_ASSERT(r == -ENAMETOOLONG);
  free(exact);

  /* What can be written is read back as the same. */
  uint8_t data[6 * LOCATOR_MAX_LEN];
  uint32_t back = relative ? LOCATOR_W2RU : LOCATOR_W2KU;
  long n = locator_encode(back, path, data, sizeof data);
  if (n < 0)
    return;
  char read[2 * LOCATOR_MAX_LEN];
  r = locator_path(back, data, (size_t)n, read, sizeof read, &again);
  /* "a:/b" is a name here and a drive there; "//?/" likewise. */
  if (strchr(path, ':') != NULL || strncmp(path, "//", 2) == 0)
    return;
  const char *seen = strncmp(read, "./", 2) == 0 ? read + 2 : read;
  const char *meant = strncmp(path, "./", 2) == 0 ? path + 2 : path;
  FUZZ_ASSERT(r == 0 && again == relative && strcmp(seen, meant) == 0);
}

static void
fuzz_struct(struct fuzz_input in)
{
  uint8_t buf[LOCATOR_SIZE] = { 0 }, back[LOCATOR_SIZE];
  struct locator l;
  const char *why;
  memcpy(buf, in.data, in.size < sizeof buf ? in.size : sizeof buf);
  memset(buf + 12, 0, 4);
  locator_parse(buf, &l);
  int r = locator_check(&l, &why);
  FUZZ_ASSERT(r == 0 ? why == NULL : why != NULL);
  if (r == 0 && l.code != LOCATOR_NONE)
    FUZZ_ASSERT(l.len <= LOCATOR_MAX_LEN && l.space % 512 == 0 &&
                l.off < 1ULL << 62);
  locator_format(&l, back);
  FUZZ_ASSERT(memcmp(buf, back, sizeof buf) == 0);
}

static void
fuzz_footer(struct fuzz_input in)
{
  uint8_t buf[FOOTER_SIZE] = { 0 }, back[FOOTER_SIZE];
  struct footer f, again;
  struct vhd_error err;
  memcpy(buf, in.data, in.size < sizeof buf ? in.size : sizeof buf);
  unit_checksum(buf, sizeof buf, 64);
  if (footer_parse(buf, "disk", "footer", &f, &err) < 0) {
    FUZZ_ASSERT(err.code != VHD_FOOTER_CHECKSUM && err.message[0] != '\0');
    return;
  }
  FUZZ_ASSERT(f.current_size > 0 && f.current_size % 512 == 0);
  footer_format(&f, back);
  FUZZ_ASSERT(memcmp(buf, back, 84) != 0 || memcmp(buf, back, 86) == 0);
  FUZZ_ASSERT(footer_parse(back, "disk", "footer", &again, &err) == 0);
  char text[GUID_TEXT_SIZE];
  guid_text(f.id, text);
  FUZZ_ASSERT(strlen(text) == GUID_TEXT_SIZE - 1);
}

static void
fuzz_header(struct fuzz_input in)
{
  uint8_t buf[HEADER_SIZE] = { 0 }, back[HEADER_SIZE];
  struct header h, again;
  struct vhd_error err;
  uint64_t size = fuzz_take(&in, 6) * 512;
  size = size == 0 || size > VHD_MAX_DYNAMIC_SIZE ? 512 : size;
  memcpy(buf, in.data, in.size < sizeof buf ? in.size : sizeof buf);
  unit_checksum(buf, sizeof buf, 36);
  if (header_parse(buf, "disk", size, &h, &err) < 0) {
    FUZZ_ASSERT(err.code != VHD_HEADER_CHECKSUM && err.message[0] != '\0');
    return;
  }
  FUZZ_ASSERT((uint64_t)h.max_table_entries * h.block_size >= size);
  header_format(&h, back);
  FUZZ_ASSERT(header_parse(back, "disk", size, &again, &err) == 0);
  FUZZ_ASSERT(memcmp(buf + 64, back + 64, 512) == 0);
  char name[800];
  size_t n = utf16_decode(h.parent_name, sizeof h.parent_name, true, name,
                          sizeof name);
  FUZZ_ASSERT(n == strlen(name) && utf8_valid(name, n));
}

static void
fuzz_batmap(struct fuzz_input in)
{
  uint8_t buf[BATMAP_HEADER_SIZE] = { 0 }, back[BATMAP_HEADER_SIZE];
  struct batmap b;
  const char *why = NULL;
  uint32_t entries = (uint32_t)fuzz_take(&in, 4);
  memcpy(buf, in.data, in.size < sizeof buf ? in.size : sizeof buf);
  if (batmap_parse(buf, entries, &b, &why) < 0) {
    FUZZ_ASSERT(why != NULL);
    return;
  }
  FUZZ_ASSERT((uint64_t)b.nsec * 4096 >= entries && b.nsec <= 1024);
  size_t len = (size_t)b.nsec * 512;
  uint8_t *map = calloc(1, len);
  FUZZ_ASSERT(map != NULL);
  if (in.size > sizeof buf)
    memcpy(map, in.data + sizeof buf,
           in.size - sizeof buf < len ? in.size - sizeof buf : len);
  batmap_format(&b, map, len, back);
  FUZZ_ASSERT(batmap_parse(back, entries, &b, &why) == 0 &&
              batmap_sum_ok(&b, map, len));
  free(map);
}

static void
fuzz_text(struct fuzz_input in)
{
  char *text = malloc(in.size + 1);
  FUZZ_ASSERT(text != NULL);
  memcpy(text, in.data, in.size);
  text[in.size] = '\0';
  size_t before = strlen(text);
  bool valid = utf8_valid(text, before);
  bool control = utf8_has_control(text, before);
  char *copy = strdup(text);
  FUZZ_ASSERT(copy != NULL);
  utf8_make_printable(copy);
  size_t after = strlen(copy);
  FUZZ_ASSERT(after <= before && utf8_valid(copy, after) &&
              !utf8_has_control(copy, after));
  FUZZ_ASSERT((valid && !control) == (strcmp(copy, text) == 0));
  free(copy);
  free(text);

  uint64_t size;
  char number[32];
  snprintf(number, sizeof number, "%.*s", (int)(in.size < 31 ? in.size : 31),
           (const char *)in.data);
  (void)vhd_parse_size(number, &size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static void (*const parsers[])(struct fuzz_input) = {
    fuzz_path, fuzz_struct, fuzz_footer, fuzz_header, fuzz_batmap, fuzz_text,
  };
  struct fuzz_input in = { data, size };
  uint64_t choice = fuzz_take(&in, 1);
  if (size > 0)
    parsers[choice % (sizeof parsers / sizeof *parsers)](in);
  return 0;
}
