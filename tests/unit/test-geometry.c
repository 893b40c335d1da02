/* SPDX-License-Identifier: BSD-2-Clause */
/* test-geometry: the specification's geometries, as other tools write them. */
#include "config.h"

#include "format/footer.h"
#include "format/geometry.h"
#include "unit/unit.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static void
test_vectors(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint64_t size;
    unsigned cylinders, heads, sectors;
  } rows[] = {
    { "4 MiB", 4 * MIB, 120, 4, 17 },
    { "10 MiB", 10 * MIB, 301, 4, 17 },
    { "40 MiB", 40 * MIB, 963, 5, 17 },
    { "200 MiB", 200 * MIB, 825, 16, 31 },
    { "512 MiB", 512 * MIB, 1040, 16, 63 },
    { "1 GiB", GIB, 2080, 16, 63 },
    { "127 GiB", 127 * GIB, 65278, 16, 255 },
    { "2040 GiB", 2040 * GIB, 65535, 16, 255 },
    { "2^63", 1ULL << 63, 65535, 16, 255 },
    { "one sector", 512, 0, 4, 17 },
    { "nothing", 0, 0, 4, 17 },
    { "first of 255 sectors", 65535ULL * 16 * 63 * 512, 16191, 16, 255 },
    { "last of 63 sectors", (65535ULL * 16 * 63 - 1) * 512, 65534, 16, 63 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct geometry g = geometry_for_size(rows[i].size);
    ROW_INT(rows[i].name, g.cylinders, rows[i].cylinders);
    ROW_INT(rows[i].name, g.heads, rows[i].heads);
    ROW_INT(rows[i].name, g.sectors, rows[i].sectors);
  }
}

static void
test_never_larger(void **state)
{
  (void)state;
  for (unsigned i = 0; i < 20000; i++) {
    uint64_t size = ((uint64_t)unit_random() << (unit_random() % 20)) * 512;
    struct geometry g = geometry_for_size(size);
    assert_true(geometry_size(g) <= size);
    assert_true(g.heads <= 16 && g.heads >= 4);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_never_larger),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
