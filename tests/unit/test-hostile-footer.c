/* SPDX-License-Identifier: BSD-2-Clause */
/* test-hostile-footer: footers that broke other parsers: bad, missing, cut,
 * two that differ, and every field of them.  One thread; owns its scratch
 * folder. */
#include "config.h"

#include "unit/hostile.h"
#include "unit/unit.h"

#define TEXT(a, b, c, d) \
  ((uint64_t)(a) << 24 | (uint64_t)(b) << 16 | (uint64_t)(c) << 8 | (d))

/* ------------------------------------------------------------------ footers */

static void
cut_footer(struct forge *f)
{
  forge_truncate(f, f->len - FORGE_SECTOR);
}

static void
zero_footer(struct forge *f)
{
  memset(forge_end(f), 0, FORGE_SECTOR);
}

static void
cut_last_byte(struct forge *f)
{
  forge_truncate(f, f->len - 1);
}

static void
cut_last_byte_and_head(struct forge *f)
{
  memset(f->file, 0, FORGE_SECTOR);
  cut_last_byte(f);
}

static void
cut_to_nothing(struct forge *f)
{
  forge_truncate(f, 0);
}

static void
cut_to_100(struct forge *f)
{
  forge_truncate(f, 100);
}

/* Just the copy of the footer, or not even that. */
static void
cut_to_512(struct forge *f)
{
  forge_truncate(f, 512);
}

static void
cut_to_511(struct forge *f)
{
  forge_truncate(f, 511);
}

static void
append_100(struct forge *f)
{
  forge_insert(f, f->len, 100);
}

static void
vhdx(struct forge *f)
{
  memcpy(f->file, "vhdxfile", 8);
  zero_footer(f);
}

/* A guest that keeps a VHD of its own in the first sectors of its disk. */
static void
guest_vhd(struct forge *f)
{
  struct forge inner;
  forge_dynamic(&inner, 'G');
  memcpy(f->file, inner.file, FORGE_SLOT);
  memcpy(f->disk, inner.file, FORGE_SLOT);
  forge_free(&inner);
}

static void
guest_vhd_bad_end(struct forge *f)
{
  guest_vhd(f);
  forge_end(f)[100] ^= 1;
}

static void
guest_vhd_no_end(struct forge *f)
{
  guest_vhd(f);
  zero_footer(f);
}

static void
other_size(struct forge *f)
{
  unit_put(f->file, 48, 8, f->disk_len - 512);
}

static const struct shape footers[] = {
  { .name = "nothing wrong, dynamic", .base = DYNAMIC },
  { .name = "nothing wrong, fixed", .base = FIXED },
  { .name = "nothing wrong, Xen's", .base = XEN },
  { .name = "both checksums bad",
    .patch = { { FOOTERS, 100, 1, 1 } },
    .traits = SUM_LEFT,
    .code = VHD_FOOTER_CHECKSUM },
  { .name = "fixed, checksum bad",
    .base = FIXED,
    .patch = { { END, 100, 1, 1 } },
    .traits = SUM_LEFT,
    .code = VHD_FOOTER_CHECKSUM },
  { .name = "head's checksum bad",
    .patch = { { HEAD, 100, 1, 1 } },
    .traits = SUM_LEFT },
  { .name = "head zeroed",
    .patch = { { HEAD, 0, 8, 0 } },
    .traits = SUM_LEFT },
  { .name = "end's checksum bad",
    .patch = { { END, 100, 1, 1 } },
    .traits = SUM_LEFT },
  { .name = "end missing", .after = cut_footer },
  { .name = "end zeroed", .after = zero_footer },
  { .name = "fixed, end missing",
    .base = FIXED,
    .after = cut_footer,
    .code = VHD_FOOTER_MISSING },
  { .name = "fixed, end zeroed",
    .base = FIXED,
    .after = zero_footer,
    .code = VHD_FOOTER_MISSING },
  { .name = "511 bytes of footer", .after = cut_last_byte },
  { .name = "511 bytes of footer, no head",
    .after = cut_last_byte_and_head },
  { .name = "511 bytes of footer, fixed",
    .base = FIXED,
    .after = cut_last_byte },
  { .name = "both valid, other id",
    .patch = { { HEAD, 68, 4, 1 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "both valid, other size",
    .edit = other_size,
    .code = VHD_FOOTER_CORRUPT },
  { .name = "both valid, other type",
    .patch = { { HEAD, 60, 4, 4 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "both valid, other data offset",
    .patch = { { HEAD, 16, 8, 1024 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "both valid, other time", .patch = { { HEAD, 24, 4, 1 } } },
  { .name = "empty file",
    .after = cut_to_nothing,
    .code = VHD_FOOTER_MISSING },
  { .name = "100 bytes",
    .after = cut_to_100,
    .code = VHD_FOOTER_MISSING },
  { .name = "511 bytes",
    .after = cut_to_511,
    .code = VHD_HEADER_CORRUPT },
  { .name = "512 bytes",
    .after = cut_to_512,
    .code = VHD_HEADER_CORRUPT },
  { .name = "not whole sectors", .after = append_100 },
  { .name = "not whole sectors, fixed",
    .base = FIXED,
    .after = append_100,
    .code = VHD_FOOTER_MISSING },
  { .name = "another format",
    .after = vhdx,
    .traits = NO_WRITE,
    .code = VHD_HEADER_CHECKSUM,
    .says = "VHDX" },
  { .name = "guest's VHD in a fixed disk",
    .base = FIXED,
    .edit = guest_vhd },
  { .name = "guest's VHD in a fixed disk, end bad",
    .base = FIXED,
    .after = guest_vhd_bad_end,
    .code = VHD_FOOTER_CHECKSUM },
  { .name = "guest's VHD in a raw disk",
    /* Nothing says that this was a fixed disk; but its blocks, which it
     * has none of, lie beyond its end or are not what they should be. */
    .base = FIXED,
    .after = guest_vhd_no_end,
    .traits = LOOSE_SIZE },
  { .name = "v_poison at both ends",
    .patch = { { FOOTERS, 0, 8, 0x765f706f69736f6e } },
    .code = VHD_STATE },
  { .name = "v_poison at the end",
    .patch = { { END, 0, 8, 0x765f706f69736f6e } },
    .code = VHD_STATE },
  { .name = "v_poison at the start",
    .patch = { { HEAD, 0, 8, 0x765f706f69736f6e } },
    .code = VHD_STATE },
};

static void
test_footers(void **state)
{
  (void)state;
  hostile_run(footers, ARRAY_SIZE(footers));
}

static void
type_2_all_ones(struct forge *f)
{
  unit_put(f->file, 16, 8, UINT64_MAX);
  unit_put(forge_end(f), 16, 8, UINT64_MAX);
}

static void
longer_fixed(struct forge *f)
{
  forge_insert(f, f->disk_len, 1536);
}

static const struct shape footer_fields[] = {
  { .name = "format version 2",
    .patch = { { FOOTERS, 12, 4, 0x00020000 } },
    .code = VHD_FORMAT_VERSION },
  { .name = "type 0",
    .patch = { { FOOTERS, 60, 4, 0 } },
    .code = VHD_TYPE },
  { .name = "type 5",
    .patch = { { FOOTERS, 60, 4, 5 } },
    .code = VHD_TYPE },
  { .name = "type 2 with a dynamic header",
    .patch = { { FOOTERS, 60, 4, 2 } },
    .code = VHD_FILE_SIZE },
  { .name = "type 2, all ones, with a dynamic header",
    .patch = { { FOOTERS, 60, 4, 2 } },
    .edit = type_2_all_ones,
    .code = VHD_FILE_SIZE },
  { .name = "fixed with data offset 512",
    .base = FIXED,
    .patch = { { END, 16, 8, 512 } },
    .code = VHD_OK },
  { .name = "data offset 0",
    .patch = { { FOOTERS, 16, 8, 0 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "data offset at the footer itself",
    .patch = { { FOOTERS, 16, 8, FORGE_SLOT + 4 * FORGE_STRIDE } },
    .code = VHD_HEADER_CORRUPT },
  { .name = "data offset at the copy's end",
    .patch = { { FOOTERS, 16, 8, 256 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "data offset 2^63",
    .patch = { { FOOTERS, 16, 8, 1ULL << 63 } },
    .code = VHD_FOOTER_CORRUPT },
  { .name = "data offset beyond the file",
    .patch = { { FOOTERS, 16, 8, 1ULL << 40 } },
    .code = VHD_HEADER_CORRUPT },
  { .name = "data offset at nothing",
    .patch = { { FOOTERS, 16, 8, 2048 } },
    .code = VHD_HEADER_CORRUPT },
  { .name = "size 0",
    .patch = { { FOOTERS, 48, 8, 0 } },
    .code = VHD_SIZE },
  { .name = "size 0, fixed",
    .base = FIXED,
    .patch = { { END, 48, 8, 0 } },
    .code = VHD_SIZE },
  { .name = "size 2041 GiB",
    .patch = { { FOOTERS, 48, 8, 2041ULL << 30 } },
    .code = VHD_SIZE },
  { .name = "size of no whole sectors",
    .patch = { { FOOTERS, 48, 8, FORGE_DISK + 1 } },
    .code = VHD_SIZE },
  { .name = "size 2^64-1",
    .patch = { { FOOTERS, 48, 8, UINT64_MAX } },
    .code = VHD_SIZE },
  { .name = "size 2^64-512, fixed",
    .base = FIXED,
    .patch = { { END, 48, 8, 0ULL - 512 } },
    .code = VHD_SIZE },
  { .name = "original size differs", .patch = { { FOOTERS, 40, 8, 512 } } },
  { .name = "original size absurd",
    .patch = { { FOOTERS, 40, 8, UINT64_MAX } } },
  { .name = "fixed, shorter than its size",
    .base = FIXED,
    .patch = { { END, 48, 8, FORGE_DISK + 512 } },
    .code = VHD_FILE_SIZE,
    .says = "split" },
  { .name = "fixed, size of 8 EiB",
    .base = FIXED,
    .patch = { { END, 48, 8, (1ULL << 63) - 1024 } },
    .code = VHD_FILE_SIZE },
  { .name = "fixed, with extra bytes",
    .base = FIXED,
    .edit = longer_fixed },
  { .name = "CHS 0", .patch = { { FOOTERS, 56, 4, 0 } } },
  { .name = "CHS larger than the size",
    .patch = { { FOOTERS, 56, 4, UINT32_MAX } } },
  { .name = "size by a CHS of 0",
    .patch = { { FOOTERS, 56, 4, 0 } },
    .flags = VHD_OPEN_SIZE_CHS,
    .code = VHD_SIZE },
  { .name = "size by a CHS beyond the table",
    .patch = { { FOOTERS, 56, 4, 0x00401011 } },
    .flags = VHD_OPEN_SIZE_CHS,
    .code = VHD_HEADER_CORRUPT },
  { .name = "size by a CHS beyond the limit",
    .patch = { { FOOTERS, 56, 4, UINT32_MAX } },
    .flags = VHD_OPEN_SIZE_CHS,
    .code = VHD_LIMIT },
  { .name = "size by a CHS beyond the file, fixed",
    .base = FIXED,
    .patch = { { END, 56, 4, 0x00ff1011 } },
    .flags = VHD_OPEN_SIZE_CHS,
    .code = VHD_FILE_SIZE },
  { .name = "creator vpc, CHS differs",
    .patch = { { FOOTERS, 28, 4, TEXT('v', 'p', 'c', ' ') },
               { FOOTERS, 56, 4, 0x00010411 } } },
  { .name = "saved state", .patch = { { FOOTERS, 84, 1, 1 } } },
  { .name = "hidden", .patch = { { FOOTERS, 85, 1, 1 } } },
  { .name = "features 0", .patch = { { FOOTERS, 8, 4, 0 } } },
  { .name = "creator of NULs", .patch = { { FOOTERS, 28, 4, 0 } } },
  { .name = "creator of controls",
    .patch = { { FOOTERS, 28, 4, TEXT(0x1b, '[', '"', 0x9b) },
               { FOOTERS, 36, 4, TEXT('\n', '\\', 0x7f, 0xff) } } },
  { .name = "time in the future",
    .patch = { { FOOTERS, 24, 4, UINT32_MAX } } },
  { .name = "null id", .patch = { { FOOTERS, 68, 8, 0 },
                                  { FOOTERS, 76, 8, 0 } } },
  { .name = "garbage in the reserved bytes",
    .patch = { { FOOTERS, 100, 8, UINT64_MAX },
               { FOOTERS, 504, 8, UINT64_MAX } } },
};

static void
test_footer_fields(void **state)
{
  (void)state;
  hostile_run(footer_fields, ARRAY_SIZE(footer_fields));
}

static void
creator_is_printable(void)
{
  struct forge f;
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_info info;
  struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  forge_dynamic(&f, 'D');
  memcpy(f.file + 28, "\x1b[\0\x9b\0\0\0\0\n\x7f\"x", 12);
  memcpy(forge_end(&f) + 28, f.file + 28, 12);
  forge_seal(&f);
  forge_write(&f, DISK);
  if (vhd_open(DISK, &opt, &image, &err) < 0)
    hostile_fail("%s", err.message);
  vhd_get_info(image, &info);
  for (const char *p = info.creator; *p != '\0'; p++)
    if (*p < 0x20 || *p > 0x7e)
      hostile_fail("creator has a byte %#x", *p);
  for (const char *p = info.creator_os; *p != '\0'; p++)
    if (*p < 0x20 || *p > 0x7e)
      hostile_fail("creator OS has a byte %#x", *p);
  if (info.creator[1] != '[' || strcmp(info.creator_os + 2, "\"x") != 0)
    hostile_fail("creators are %s and %s", info.creator, info.creator_os);
  vhd_close(image, NULL);
  forge_free(&f);
}

static void
test_creator(void **state)
{
  (void)state;
  hostile_apart("creators are printable", creator_is_printable);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_footers),
    cmocka_unit_test(test_footer_fields),
    cmocka_unit_test(test_creator),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}
