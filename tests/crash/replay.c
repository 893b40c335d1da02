/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.c: takes a recorded run (record.h) and looks at what power cuts could
 * have left of it.
 *
 *   replay [OPTION...] FOLDER
 *
 *   --images N   so many, spread over the run [1000]
 *   --seed N     of what is random
 *   --write N    every N-th is also opened for writing, used, closed and
 *                checked [4; 0: none]
 *   --garbage    a host that shows old bytes of its disk in places that it had
 *                just given to a write
 *   --keep       images with a fault stay, as wrong-N.vhd
 *   --leave N    only leave what a cut after N records could, as left.vhd
 *
 * The folder has, from crashtest.py: log, data.LIFE, content, disk (its bytes
 * at the start), image.0 (the file at the start) and image.LIFE (the file when
 * that life ended), and the parents under their names.  The last line says how
 * much was looked at.  0: nothing wrong; 1: something; 2: the recording is no
 * good.
 *
 * At each step of the log, the calls that a completed sync covers are there,
 * and of the rest any.  Where they are few, or dangerous, is known: so several
 * ways to choose them take turns.  One thread. */
#include "config.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "host.h"
#include "look.h"

#define SHOWN 10 /* faults */
#define PAGE 4096

struct replay {
  const struct record *log;
  uint64_t nlog;
  struct host host;
  struct disk disk;
  struct content left;
  uint8_t *kept; /* a byte for each sector of the file: a change was kept */
  uint64_t table_end;
  uint64_t images, opened, written, wrong;
  uint64_t seed, random, leave;
  unsigned write_each;
  bool garbage, keep;
};

static void
give_up(const char *what, const char *why)
{
  fprintf(stderr, "replay: %s: %s\n", what, why);
  exit(2);
}

static const uint8_t *
map_file(const char *name, uint64_t *size)
{
  static const uint8_t nothing[1];
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  struct stat st;

  if (fd < 0 || fstat(fd, &st) < 0)
    return NULL;
  *size = (uint64_t)st.st_size;
  void *p = *size ? mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0)
                  : (void *)(uintptr_t)nothing;
  close(fd);
  return p == MAP_FAILED ? NULL : p;
}

static const uint8_t *
need_file(const char *name, uint64_t *size)
{
  const uint8_t *p = map_file(name, size);

  if (!p)
    give_up(name, "cannot be read");
  return p;
}

static uint64_t
dice(struct replay *r)
{
  r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
  return r->random >> 33;
}

/* ----------------------------------------------------- what a cut may keep */

enum choice {
  NOTHING, ALL, HALF_CALLS, HALF_SECTORS, FEW_CALLS, MOST_CALLS, ONE_CALL,
  BUT_ONE_CALL, TABLE, BUT_TABLE, SMALL, LARGE, SIZES, BUT_SIZES, NEWEST,
  BUT_NEWEST,
  NCHOICES,
};

static const char *const choice_names[NCHOICES] = {
  "nothing", "all", "half of the calls", "half of the sectors",
  "few of the calls", "most of the calls", "one call", "all but one call",
  "the table", "all but the table", "small calls", "large calls",
  "sizes", "all but sizes", "the newest", "all but the newest",
};

struct pick {
  struct replay *r;
  enum choice choice;
  uint64_t seed;
  unsigned one; /* a change */
  bool ordered; /* the host moves the end after what was written there */
};

static unsigned
coin(const struct pick *p, uint64_t a, uint64_t b, unsigned sides)
{
  uint64_t x = p->seed ^ (a * 0x9e3779b97f4a7c15ULL) ^
               (b * 0xc2b2ae3d27d4eb4fULL);

  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return (unsigned)((x ^ (x >> 31)) % sides);
}

static bool
chosen(const struct pick *p, const struct change *ch, unsigned index,
       uint32_t sector)
{
  bool table = !ch->resize && ch->off < p->r->table_end;

  switch (p->choice) {
  case NOTHING: return false;
  case ALL: return true;
  case HALF_CALLS: return coin(p, ch->end, 0, 2);
  case HALF_SECTORS: return coin(p, index, sector, 2);
  case FEW_CALLS: return coin(p, ch->end, 0, 6) == 0;
  case MOST_CALLS: return coin(p, ch->end, 0, 6) != 0;
  case ONE_CALL: return index == p->one;
  case BUT_ONE_CALL: return index != p->one;
  case TABLE: return table;
  case BUT_TABLE: return !table;
  case SMALL: return !ch->resize && ch->nsec <= 2;
  case LARGE: return ch->resize || ch->nsec > 2;
  case SIZES: return ch->resize;
  case BUT_SIZES: return !ch->resize;
  case NEWEST: return index >= p->one;
  default: return index < p->one;
  }
}

static bool
keep_change(void *opaque, const struct change *ch, unsigned index,
            uint32_t sector)
{
  struct pick *p = opaque;
  bool keep = chosen(p, ch, index, sector);

  if (keep && !ch->resize)
    p->r->kept[ch->off / 512 + sector] = 1;
  return keep;
}

static bool
all_zeros(const uint8_t *bytes, uint64_t n)
{
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* The host gave the page a place, and nothing came there. */
static void
spoil_page(struct replay *r, uint64_t page)
{
  uint64_t off = page * PAGE;

  if (r->host.aside[page] || !all_zeros(r->host.durable.bytes + off, PAGE))
    return;
  for (unsigned i = 0; i < PAGE / 512; i++, off += 512)
    if (!r->kept[off / 512] && off + 512 <= r->left.size &&
        all_zeros(r->left.bytes + off, 512))
      memset(r->left.bytes + off, GARBAGE, 512);
}

static void
spoil(struct replay *r)
{
  for (unsigned i = 0; i < r->host.nchange; i++) {
    const struct change *ch = &r->host.change[i];
    if (ch->resize || !ch->bytes)
      continue;
    for (uint64_t page = ch->off / PAGE;
         page <= (ch->off + ch->nsec * 512ULL - 1) / PAGE; page++)
      spoil_page(r, page);
  }
}

/* ---------------------------------------------------------- looking at one */

static void
put_image(const struct content *c, const char *name)
{
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  uint64_t from = 0;

  if (fd < 0 || ftruncate(fd, (off_t)c->size) < 0)
    give_up(name, "cannot be written");
  while (from < c->size) {
    uint64_t to = from;
    while (to < c->size &&
           !all_zeros(c->bytes + to, c->size - to < PAGE ? c->size - to : PAGE))
      to += c->size - to < PAGE ? c->size - to : PAGE;
    if (to > from &&
        pwrite(fd, c->bytes + from, to - from, (off_t)from) !=
          (ssize_t)(to - from))
      give_up(name, "cannot be written");
    from = to > from ? to : from + PAGE;
  }
  close(fd);
}

static bool
ends_in_footer(const struct content *c)
{
  const uint8_t *f = c->bytes + c->size - 512;
  uint32_t sum = 0;

  if (c->size < 512 || memcmp(f, "conectix", 8) != 0)
    return false;
  for (unsigned i = 0; i < 512; i++)
    sum += i >= 64 && i < 68 ? 0 : f[i];
  return ~sum == ((uint32_t)f[64] << 24 | f[65] << 16 | f[66] << 8 | f[67]);
}

/* A file ends in a footer, or on a host that moves the end first in zeros:
 * never in a block's bytes, which other programs might take for a footer. */
static bool
ends_well(const struct replay *r, const struct pick *p)
{
  const struct content *c = &r->left, *d = &r->host.durable;

  if (ends_in_footer(c))
    return true;
  return !p->ordered && (c->size != d->size || !ends_in_footer(d)) &&
         c->size >= 512 && all_zeros(c->bytes + c->size - 512, 512);
}

static void
complain(struct replay *r, const struct pick *p, uint64_t at,
         const char *fault)
{
  char name[40];

  if (++r->wrong > SHOWN)
    return;
  printf("# wrong: power cut at %llu of %llu, %s kept (%u%s), seed %llu: %s\n",
         (unsigned long long)at, (unsigned long long)r->nlog,
         choice_names[p->choice], p->one, p->ordered ? ", ordered" : "",
         (unsigned long long)r->seed, fault);
  if (r->keep) {
    snprintf(name, sizeof name, "wrong-%llu.vhd", (unsigned long long)r->wrong);
    put_image(&r->left, name);
  }
}

static void
look_at(struct replay *r, struct pick *p, uint64_t at)
{
  struct look l = {
    .disk = &r->disk, .at = at, .path = "crash.vhd", .journal = "no-journal",
    .garbage = r->garbage, .whole = p->ordered, .random = dice(r),
  };

  memset(r->kept, 0, r->host.room / 512);
  host_cut(&r->host, keep_change, p, p->ordered, &r->left);
  if (r->garbage)
    spoil(r);
  put_image(&r->left, l.path);
  r->opened++;
  if (!ends_well(r, p))
    snprintf(l.fault, sizeof l.fault, "the file does not end in a footer");
  look_reading(&l);
  if (!l.fault[0] && r->write_each && r->opened % r->write_each == 0) {
    r->written++;
    look_writing(&l);
  }
  if (l.fault[0])
    complain(r, p, at, l.fault);
}

/* ----------------------------------------------------------------- the run */

static struct pick
choose(struct replay *r)
{
  struct pick p = { .r = r };

  p.choice = r->host.nchange ? (enum choice)(dice(r) % NCHOICES) : NOTHING;
  p.one = r->host.nchange ? (unsigned)(dice(r) % r->host.nchange) : 0;
  p.seed = dice(r);
  p.ordered = dice(r) % 2;
  return p;
}

/* What a cut could keep at this moment; some of it n times. */
static void
cut_here(struct replay *r, uint64_t at, uint64_t n, bool bare)
{
  struct pick p = { .r = r };

  host_add_open(&r->host);
  if (bare)
    look_at(r, &p, at);
  for (uint64_t i = 0; i < n; i++) {
    p = choose(r);
    look_at(r, &p, at);
  }
  host_drop_open(&r->host);
}

static void
leave_one(struct replay *r)
{
  host_add_open(&r->host);
  struct pick p = choose(r);
  host_cut(&r->host, keep_change, &p, true, &r->left);
  put_image(&r->left, "left.vhd");
  host_drop_open(&r->host);
}

static bool
of_a_call(const struct record *rec)
{
  return rec->kind == RECORD_BEGIN || rec->kind == RECORD_END;
}

static void
end_life(struct replay *r, const struct record *rec, uint64_t at)
{
  char name[40];
  uint64_t size;

  snprintf(name, sizeof name, "image.%u", rec->life);
  const uint8_t *bytes = need_file(name, &size);
  if (size + PAGE > r->host.room)
    give_up(name, "the file is larger than expected");
  const char *why = host_end_life(&r->host, bytes, size, at);
  if (why)
    give_up(name, why);
  munmap((void *)(uintptr_t)bytes, size);
}

static void
run(struct replay *r)
{
  uint64_t points = 0, due = 0;

  for (uint64_t i = 0; i < r->nlog; i++)
    points += of_a_call(&r->log[i]);
  for (uint64_t i = 0; i < r->nlog; i++) {
    const struct record *rec = &r->log[i];
    const char *why = NULL;
    if (of_a_call(rec))
      why = host_take(&r->host, rec, i);
    else if (rec->kind == RECORD_CLOSED || rec->kind == RECORD_KILLED)
      end_life(r, rec, i);
    if (why)
      give_up("log", why);
    if (r->leave && i + 1 >= r->leave) {
      leave_one(r);
      break;
    }
    if (r->leave)
      continue;
    bool told = rec->kind == RECORD_ACK || rec->kind == RECORD_CLOSED;
    if (told)
      cut_here(r, i + 1, 0, rec->op == REQUEST_FLUSH || rec->op == 0);
    if (!of_a_call(rec))
      continue;
    due += r->images;
    uint64_t n = due / points;
    due -= n * points;
    cut_here(r, i + 1, n, false);
  }
}

/* Where the table of blocks ends in the file: from the header. */
static uint64_t
table_end(const uint8_t *f, uint64_t size)
{
  uint64_t off = 0, n = 0;

  if (size < 2048 || memcmp(f + 512, "cxsparse", 8) != 0)
    return 0;
  for (int i = 0; i < 8; i++)
    off = off << 8 | f[512 + 16 + i];
  for (int i = 0; i < 4; i++)
    n = n << 8 | f[512 + 28 + i];
  return off + n * 4;
}

static void
load(struct replay *r)
{
  uint64_t size, room, image_size, disk_size;
  const uint8_t *content, *image, *disk;
  char name[40];

  r->log = (const struct record *)need_file("log", &size);
  r->nlog = size / sizeof *r->log;
  content = need_file("content", &size);
  image = need_file("image.0", &image_size);
  disk = need_file("disk", &disk_size);
  disk_init(&r->disk, disk, disk_size / 512, content);
  room = image_size;
  for (uint64_t i = 0; i < r->nlog; i++) {
    const struct record *rec = &r->log[i];
    if (rec->magic != RECORD_MAGIC)
      give_up("log", "it is damaged");
    if (rec->kind == RECORD_BEGIN && rec->off + rec->len > room)
      room = rec->off + rec->len;
    disk_take(&r->disk, rec, i);
  }
  room = (room + (1 << 20)) / PAGE * PAGE;
  host_init(&r->host, image, image_size, room);
  content_init(&r->left, room);
  r->kept = calloc(room / 512, 1);
  r->table_end = table_end(image, image_size);
  for (unsigned life = 0; life < 64; life++) {
    snprintf(name, sizeof name, "data.%u", life);
    r->host.data[life] = map_file(name, &size);
  }
}

int
main(int argc, char **argv)
{
  static const struct option options[] = {
    { "images", required_argument, NULL, 'i' },
    { "seed", required_argument, NULL, 's' },
    { "write", required_argument, NULL, 'w' },
    { "garbage", no_argument, NULL, 'g' },
    { "keep", no_argument, NULL, 'k' },
    { "leave", required_argument, NULL, 'l' },
    { NULL, 0, NULL, 0 },
  };
  static struct replay r = { .images = 1000, .seed = 1, .write_each = 4 };
  int c;

  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
    switch (c) {
    case 'i': r.images = strtoull(optarg, NULL, 10); break;
    case 's': r.seed = strtoull(optarg, NULL, 10); break;
    case 'w': r.write_each = (unsigned)atoi(optarg); break;
    case 'g': r.garbage = true; break;
    case 'k': r.keep = true; break;
    case 'l': r.leave = strtoull(optarg, NULL, 10); break;
    default: return 2;
    }
  if (optind != argc - 1 || chdir(argv[optind]) < 0)
    give_up(argc > 1 ? argv[argc - 1] : "", "no folder");
  mkdir("no-journal", 0700);
  r.random = r.seed;
  load(&r);
  run(&r);
  unlink("crash.vhd");
  printf("%llu images opened, %llu written to, %llu wrong\n",
         (unsigned long long)r.opened, (unsigned long long)r.written,
         (unsigned long long)r.wrong);
  disk_free(&r.disk);
  host_free(&r.host);
  content_free(&r.left, r.host.room);
  free(r.kept);
  return r.wrong > 0;
}
