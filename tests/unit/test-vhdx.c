/* SPDX-License-Identifier: BSD-2-Clause */
/* test-vhdx: the structures of VHDX files, byte by byte: what is taken for
 * valid, and that nothing else is. */
#include "config.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "format/guid.h"
#include "format/vhdx.h"
#include "format/vhdx_log.h"
#include "unit/unit.h"

static void
put(uint8_t *buf, size_t off, size_t n, uint64_t v)
{
  struct le64 raw = le64_put(v);

  memcpy(buf + off, &raw, n);
}

static void
seal(uint8_t *buf, size_t len)
{
  put(buf, 4, 4, 0);
  put(buf, 4, 4, crc32c(0, buf, len));
}

/* ------------------------------------------------------------------ sum, id */

static void
test_sum(void **state)
{
  (void)state;
  /* The check value that catalogues of checksums give. */
  assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
  assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
  assert_int_equal(crc32c(0, "", 0), 0);
}

static void
test_id(void **state)
{
  (void)state;
  static const char text[] = "2dc27766-f623-4200-9d64-115e9bfd4a08";
  uint8_t id[16];
  char back[GUID_TEXT_SIZE];

  assert_int_equal(guid_parse_windows(text, id), 0);
  assert_memory_equal(id, "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64", 10);
  guid_text_windows(id, back);
  assert_string_equal(back, text);
  assert_int_equal(guid_parse_windows("no id", id), -EINVAL);
}

/* ------------------------------------------------------------------- header */

static uint8_t page[VHDX_PAGE];

static void
make_header(void)
{
  memset(page, 0, sizeof page);
  memcpy(page, "head", 4);
  put(page, 8, 8, 0x1122334455667788);
  memset(page + 32, 0xda, 16);
  memset(page + 48, 0x10, 16);
  put(page, 66, 2, 1);
  put(page, 68, 4, 3 << 20);
  put(page, 72, 8, 5 << 20);
  seal(page, sizeof page);
}

static void
test_header(void **state)
{
  (void)state;
  struct vhdx_header h;
  const char *why;

  make_header();
  assert_int_equal(vhdx_header_parse(page, &h, &why), 0);
  assert_true(h.sequence == 0x1122334455667788);
  assert_int_equal(h.data_id[0], 0xda);
  assert_int_equal(h.log_id[15], 0x10);
  assert_int_equal(h.log_version, 0);
  assert_int_equal(h.log_len, 3 << 20);
  assert_true(h.log_off == 5 << 20);
  assert_true(vhdx_header_has_place(&h));
}

static void
test_bad_header(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    size_t off, n;
    uint64_t value;
    int result;
  } rows[] = {
    { "signature", 0, 1, 'H', -EINVAL },
    { "version", 66, 2, 2, -ENOTSUP },
    { "length of the log", 68, 4, (3 << 20) + 4096, 0 },
    { "log between units", 72, 8, (5 << 20) + 1, 0 },
    { "log over the headers", 72, 8, 0, 0 },
  };
  struct vhdx_header h;
  const char *why;

  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    make_header();
    put(page, rows[i].off, rows[i].n, rows[i].value);
    seal(page, sizeof page);
    ROW_INT(rows[i].name, vhdx_header_parse(page, &h, &why), rows[i].result);
    if (rows[i].result == 0)
      ROW_INT(rows[i].name, vhdx_header_has_place(&h), false);
  }
  for (size_t off = 0; off < sizeof page; off += 97) {
    make_header();
    page[off] ^= 4;
    ROW_INT("one bit", vhdx_header_parse(page, &h, &why), -EINVAL);
  }
}

/* ------------------------------------------------------------------- tables */

static uint8_t table[VHDX_TABLE_SIZE];

static void
make_regions(void)
{
  memset(table, 0, sizeof table);
  memcpy(table, "regi", 4);
  put(table, 8, 4, 2);
  guid_parse_windows("2dc27766-f623-4200-9d64-115e9bfd4a08", table + 16);
  put(table, 32, 8, 7ULL << 40);
  put(table, 40, 4, 2 << 20);
  put(table, 44, 4, 1);
  guid_parse_windows("8b7ca206-4790-4b9a-b8fe-575f050f886e", table + 48);
  put(table, 64, 8, 1 << 20);
  put(table, 72, 4, 1 << 20);
  seal(table, sizeof table);
}

static void
test_regions(void **state)
{
  (void)state;
  struct vhdx_region r;
  const char *why;

  make_regions();
  assert_int_equal(vhdx_regions_check(table, &why), 2);
  assert_int_equal(vhdx_region_parse(table, 0, &r), 0);
  assert_int_equal(r.kind, VHDX_BAT);
  assert_true(r.off == 7ULL << 40 && r.len == 2 << 20 && r.required);
  assert_int_equal(vhdx_region_parse(table, 1, &r), 0);
  assert_int_equal(r.kind, VHDX_METADATA);
  assert_false(r.required);
  table[48]++;
  assert_int_equal(vhdx_region_parse(table, 1, &r), 0);
  assert_int_equal(r.kind, VHDX_UNKNOWN);
  put(table, 64, 8, 4096);
  assert_int_equal(vhdx_region_parse(table, 1, &r), -EINVAL);
  put(table, 64, 8, 0);
  assert_int_equal(vhdx_region_parse(table, 1, &r), -EINVAL);
  assert_int_equal(vhdx_regions_check(table, &why), -EINVAL);
  put(table, 8, 4, VHDX_MAX_ENTRIES + 1);
  seal(table, sizeof table);
  assert_int_equal(vhdx_regions_check(table, &why), -EINVAL);
  put(table, 8, 4, VHDX_MAX_ENTRIES);
  seal(table, sizeof table);
  assert_int_equal(vhdx_regions_check(table, &why), VHDX_MAX_ENTRIES);
}

static void
test_items(void **state)
{
  (void)state;
  struct vhdx_item item;
  const char *why;

  memset(table, 0, sizeof table);
  memcpy(table, "metadata", 8);
  put(table, 10, 2, 1);
  guid_parse_windows("a8d35f2d-b30b-454d-abf7-d3d84834ab0c", table + 32);
  put(table, 48, 4, 65536);
  put(table, 52, 4, 1 << 20);
  put(table, 56, 4, 4);
  assert_int_equal(vhdx_items_check(table, &why), 1);
  assert_int_equal(vhdx_item_parse(table, 0, &item), 0);
  assert_int_equal(item.kind, VHDX_LOCATOR);
  assert_true(item.required && !item.user);
  put(table, 56, 4, 1);
  assert_int_equal(vhdx_item_parse(table, 0, &item), 0);
  assert_int_equal(item.kind, VHDX_UNKNOWN);
  put(table, 52, 4, (1 << 20) + 1);
  assert_int_equal(vhdx_item_parse(table, 0, &item), -EINVAL);
  put(table, 52, 4, 8);
  put(table, 48, 4, 65535);
  assert_int_equal(vhdx_item_parse(table, 0, &item), -EINVAL);
  put(table, 10, 2, VHDX_MAX_ENTRIES + 1);
  assert_int_equal(vhdx_items_check(table, &why), -EINVAL);
  table[0] = 'M';
  assert_int_equal(vhdx_items_check(table, &why), -EINVAL);
}

static void
test_values(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    enum vhdx_kind kind;
    size_t len;
    uint64_t value;
    int result;
  } rows[] = {
    { "size", VHDX_SIZE, 8, 1 << 20, 0 },
    { "largest", VHDX_SIZE, 8, VHDX_MAX_SIZE, 0 },
    { "too large", VHDX_SIZE, 8, VHDX_MAX_SIZE + 512, -EINVAL },
    { "nothing", VHDX_SIZE, 8, 0, -EINVAL },
    { "short size", VHDX_SIZE, 7, 1 << 20, -EINVAL },
    { "512", VHDX_LOGICAL_SECTOR, 4, 512, 0 },
    { "4096", VHDX_PHYSICAL_SECTOR, 4, 4096, 0 },
    { "1024", VHDX_LOGICAL_SECTOR, 4, 1024, -EINVAL },
    { "short sector", VHDX_LOGICAL_SECTOR, 3, 512, -EINVAL },
  };
  struct vhdx_parameters p;
  uint8_t buf[8];
  uint64_t v;
  const char *why;

  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    put(buf, 0, 8, rows[i].value);
    ROW_INT(rows[i].name,
            vhdx_number_parse(rows[i].kind, buf, rows[i].len, &v, &why),
            rows[i].result);
    if (rows[i].result == 0)
      ROW_TRUE(rows[i].name, v == rows[i].value);
  }
  for (uint64_t size = 1; size < 1ULL << 32; size *= 2) {
    put(buf, 0, 8, 2ULL << 32 | size);
    assert_int_equal(vhdx_parameters_parse(buf, 8, &p, &why),
                     size >= 1 << 20 && size <= 256 << 20 ? 0 : -EINVAL);
  }
  put(buf, 0, 8, 2ULL << 32 | 3 << 20);
  assert_int_equal(vhdx_parameters_parse(buf, 8, &p, &why), -EINVAL);
  put(buf, 0, 8, 2ULL << 32 | 1 << 20);
  assert_int_equal(vhdx_parameters_parse(buf, 8, &p, &why), 0);
  assert_true(p.has_parent && !p.leave_allocated);
  assert_int_equal(vhdx_parameters_parse(buf, 7, &p, &why), -EINVAL);
}

static void
test_locator(void **state)
{
  (void)state;
  uint8_t buf[20 + 12 + 8] = { 0 };
  const uint8_t *value;
  size_t len;
  const char *why;

  guid_parse_windows("b04aefb7-d19e-4a81-b789-25b8e9445913", buf);
  put(buf, 18, 2, 1);
  put(buf, 20, 4, 32);
  put(buf, 24, 4, 36);
  put(buf, 28, 2, 4);
  put(buf, 30, 2, 4);
  memcpy(buf + 32, "k\0y\0v\0w\0", 8);
  assert_int_equal(vhdx_locator_check(buf, sizeof buf, &why), 0);
  assert_int_equal(vhdx_locator_find(buf, "ky", &value, &len), 0);
  assert_ptr_equal(value, buf + 36);
  assert_int_equal(len, 4);
  assert_int_equal(vhdx_locator_find(buf, "k", &value, &len), -ENOENT);
  assert_int_equal(vhdx_locator_find(buf, "kyv", &value, &len), -ENOENT);
  assert_int_equal(vhdx_locator_check(buf, sizeof buf - 1, &why), -EINVAL);
  put(buf, 24, 4, UINT32_MAX);
  assert_int_equal(vhdx_locator_check(buf, sizeof buf, &why), -EINVAL);
  put(buf, 24, 4, 36);
  put(buf, 18, 2, 2);
  assert_int_equal(vhdx_locator_check(buf, sizeof buf, &why), -EINVAL);
  put(buf, 18, 2, 1);
  buf[0]++;
  assert_int_equal(vhdx_locator_check(buf, sizeof buf, &why), -EINVAL);
  assert_int_equal(vhdx_locator_check(buf, 19, &why), -EINVAL);
}

static void
test_chunks(void **state)
{
  (void)state;
  assert_int_equal(vhdx_chunk_blocks(512, 1 << 20), 4096);
  assert_int_equal(vhdx_chunk_blocks(512, 256 << 20), 16);
  assert_int_equal(vhdx_chunk_blocks(4096, 1 << 20), 32768);
  assert_int_equal(vhdx_entry_state(0x1234500007), 7);
  assert_true(vhdx_entry_place(0x1234500007) == 0x12345);
}

/* ---------------------------------------------------------------------- log */

static uint8_t entry[2 * VHDX_PAGE];

/* One page of data, and zeros. */
static void
make_entry(void)
{
  memset(entry, 0, sizeof entry);
  memcpy(entry, "loge", 4);
  put(entry, 8, 4, sizeof entry);
  put(entry, 12, 4, 8192);
  put(entry, 16, 8, 0x500000007);
  put(entry, 24, 4, 2);
  memset(entry + 32, 0x10, 16);
  put(entry, 48, 8, 9 << 20);
  put(entry, 56, 8, 10 << 20);
  memcpy(entry + 64, "zero", 4);
  put(entry, 72, 8, 1 << 20);
  put(entry, 80, 8, 6 << 20);
  put(entry, 88, 8, 0x500000007);
  memcpy(entry + 96, "descTAILHEADhead", 16);
  put(entry, 112, 8, 3 << 20);
  put(entry, 120, 8, 0x500000007);
  uint8_t *data = entry + VHDX_PAGE;
  memset(data, 'x', VHDX_PAGE);
  memcpy(data, "data", 4);
  put(data, 4, 4, 5);
  put(data, VHDX_PAGE - 4, 4, 7);
  seal(entry, sizeof entry);
}

static void
test_log(void **state)
{
  (void)state;
  struct vhdx_log_change c;
  struct vhdx_log_entry e;
  uint32_t npage = 0;

  make_entry();
  assert_int_equal(vhdx_log_parse(entry, &e), 0);
  assert_true(e.len == sizeof entry && e.tail == 8192 &&
              e.sequence == 0x500000007 && e.nchange == 2 &&
              e.flushed == 9 << 20 && e.last == 10 << 20);
  assert_true(vhdx_log_sum_ok(entry, &e));
  assert_int_equal(vhdx_log_change(entry, &e, 0, &npage, &c), 0);
  assert_true(c.zero && c.len == 1 << 20 && c.off == 6 << 20);
  assert_int_equal(vhdx_log_change(entry, &e, 1, &npage, &c), 0);
  assert_true(!c.zero && c.len == VHDX_PAGE && c.off == 3 << 20);
  vhdx_log_page(&c, page);
  assert_memory_equal(page, "HEADheadxx", 10);
  assert_memory_equal(page + VHDX_PAGE - 6, "xxTAIL", 6);
  entry[VHDX_PAGE + 99] ^= 1;
  assert_false(vhdx_log_sum_ok(entry, &e));
}

static void
test_bad_log(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    size_t off, n;
    uint64_t value;
    int at; /* the change that is bad; -1: the entry */
  } rows[] = {
    { "signature", 0, 1, 'L', -1 },
    { "no length", 8, 4, 0, -1 },
    { "length", 8, 4, 4097, -1 },
    { "tail", 12, 4, 1, -1 },
    { "no sequence", 16, 8, 0, -1 },
    { "more changes than fit", 24, 4, 255, -1 },
    { "so many that it overflows", 24, 4, UINT32_MAX, -1 },
    { "change of another entry", 88, 8, 6, 0 },
    { "zeros of no page", 72, 8, 512, 0 },
    { "zeros at no page", 80, 8, 512, 0 },
    { "no change", 96, 4, 0, 1 },
    { "data at no page", 112, 8, 8, 1 },
    { "torn at the start", VHDX_PAGE + 4, 4, 6, 1 },
    { "torn at the end", 2 * VHDX_PAGE - 4, 4, 6, 1 },
    { "no data", VHDX_PAGE, 4, 0, 1 },
  };
  struct vhdx_log_change c;
  struct vhdx_log_entry e;

  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint32_t npage = 0;
    make_entry();
    put(entry, rows[i].off, rows[i].n, rows[i].value);
    int r = vhdx_log_parse(entry, &e);
    ROW_INT(rows[i].name, r, rows[i].at < 0 ? -EINVAL : 0);
    for (int n = 0; r == 0 && n < 2; n++)
      ROW_INT(rows[i].name,
              vhdx_log_change(entry, &e, (uint32_t)n, &npage, &c),
              n == rows[i].at ? -EINVAL : 0);
  }
  /* A page of data more than the entry has. */
  uint32_t npage = 1;
  make_entry();
  assert_int_equal(vhdx_log_parse(entry, &e), 0);
  assert_int_equal(vhdx_log_change(entry, &e, 1, &npage, &c), -EINVAL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sum),      cmocka_unit_test(test_id),
    cmocka_unit_test(test_header),   cmocka_unit_test(test_bad_header),
    cmocka_unit_test(test_regions),  cmocka_unit_test(test_items),
    cmocka_unit_test(test_values),   cmocka_unit_test(test_locator),
    cmocka_unit_test(test_chunks),   cmocka_unit_test(test_log),
    cmocka_unit_test(test_bad_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
