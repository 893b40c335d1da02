/* SPDX-License-Identifier: BSD-2-Clause */
/* house.c: see house.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/connection/connection.h"
#include "catalog/start/start.h"
#include "catalog/stop.h"
#include "fuzz/fuzz.h"
#include "fuzz/house.h"
#include "fuzz/starve.h"
#include "base/log.h"
#include "base/loop.h"
#include "client/command/op.h"
#include "client/connection/receive.h"
#include "server.h"
#include "net/tls/context.h"
#include "net/tls/stream.h"
#include "net/visitor.h"
#include "unit/forge.h"
#include "vhdkit.h"

/* The server's files.  Those that clients may write are put back. */
static struct image {
  const char *path;
  struct forge forge;
  bool spoiled;
} images[] = {
  [HOUSE_DYNAMIC] = {.path = "dynamic.vhd"},
  [HOUSE_CHILD] = {.path = "child.vhd"},
  [HOUSE_FIXED] = {.path = "fixed.vhd"},
  [HOUSE_XEN] = {.path = "xen.vhd"},
  [HOUSE_LOOSE] = {.path = "folder/loose.vhd"},
};

static struct house_disk disks[HOUSE_NNAMES] = {
  [HOUSE_DYNAMIC] = {.name = ""},
  [HOUSE_CHILD] = {.name = "/child"},
  [HOUSE_FIXED] = {.name = "fixed", .readonly = true},
  [HOUSE_XEN] = {.name = "xen", .tls_only = true},
  [HOUSE_LOOSE] = {.name = "loose"},
  [HOUSE_BROKEN] = {.name = "broken"},
  [HOUSE_MISSING] = {.name = "missing"},
};

/* So long that some answers fill what may wait to be sent. */
static char description[4001];

static const struct server_export exports[] = {
  {.name = "", .path = "dynamic.vhd", .description = description},
  {.name = "child", .path = "child.vhd", .description = description},
  {.name = "fixed", .path = "fixed.vhd", .readonly = true,
   .description = "an image"},
  {.name = "xen", .path = "xen.vhd", .tls_only = true},
};

static char folder[256];
static struct server *server;
static bool forgot, starved;
static struct tls_context *tls;

static struct stream *
make_tls_stream(void *opaque, int fd)
{
  return tls_stream_new(opaque, fd);
}

/* ------------------------------------------------------------------- images */

/* Takes every other sector out of a block of the child, so that it has many
 * extents; they are the parent's then. */
static void
perforate(struct forge *child, const struct forge *parent, uint32_t blk)
{
  uint8_t *bitmap = forge_bitmap(child, blk);

  for (uint32_t sec = 1; sec < FORGE_SPB; sec += 2) {
    const size_t at = (size_t)blk * FORGE_BLOCK + sec * FORGE_SECTOR;
    bitmap[sec / 8] &= (uint8_t)~(0x80 >> sec % 8);
    memcpy(child->disk + at, parent->disk + at, FORGE_SECTOR);
  }
}

static void
forge_all(void)
{
  static struct forge parent;

  forge_dynamic(&parent, 'P');
  forge_write(&parent, "parent.vhd");
  forge_dynamic(&images[HOUSE_DYNAMIC].forge, 'D');
  forge_child(&images[HOUSE_CHILD].forge, 'C', &parent, "parent.vhd");
  perforate(&images[HOUSE_CHILD].forge, &parent, 0);
  perforate(&images[HOUSE_CHILD].forge, &parent, 3);
  forge_fixed(&images[HOUSE_FIXED].forge, 'F');
  forge_xen(&images[HOUSE_XEN].forge, 'X');
  forge_dynamic(&images[HOUSE_LOOSE].forge, 'L');
  forge_free(&parent);
}

/* Writes an image and notes by its time that nobody has changed it. */
static void
put_back(unsigned i)
{
  static const struct timespec never[2];
  const struct forge *f = &images[i].forge;

  images[i].spoiled = false;
  forge_write(f, images[i].path);
  FUZZ_ASSERT(utimensat(AT_FDCWD, images[i].path, never, 0) == 0);
  memcpy(disks[i].data, f->disk, f->disk_len);
  memset(disks[i].known, true, f->disk_len);
}

/* A sector's worth, or less.  What is compared bytewise costs much more where
 * the fuzzer watches. */
static bool
agrees(const uint8_t *data, const uint8_t *known, const uint8_t *p, size_t n)
{
  if (memcmp(data, p, n) == 0 || !memchr(known, true, n))
    return true;
  for (size_t i = 0; i < n; i++)
    if (known[i] && data[i] != p[i])
      return false;
  return true;
}

bool
house_agrees(const struct house_disk *disk, uint64_t off, const uint8_t *p,
             uint64_t len)
{
  static const uint8_t zeros[FORGE_SECTOR];

  for (uint64_t at = 0; at < len; at += FORGE_SECTOR) {
    const size_t n =
      len - at < FORGE_SECTOR ? (size_t)(len - at) : FORGE_SECTOR;
    if (!agrees(disk->data + off + at, disk->known + off + at,
                p ? p + at : zeros, n))
      return false;
  }
  return true;
}

static bool
is_changed(unsigned i)
{
  struct stat st;

  FUZZ_ASSERT(stat(images[i].path, &st) == 0);
  return st.st_mtim.tv_sec != 0;
}

static void
found(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  if (finding->severity == VHD_BROKEN)
    fprintf(stderr, "%s: %s\n", finding->path, finding->message);
}

/* The file is sound, and holds what the clients were told it does. */
static void
check_image(unsigned i)
{
  const struct vhd_open_options opt = {
    .flags = VHD_OPEN_READONLY, .journal_dir = folder,
  };
  const struct vhd_check_options check = { .open = opt };
  const struct house_disk *disk = &disks[i];
  struct vhd_check_result result;
  struct vhd_image *image;
  struct vhd_error err;

  FUZZ_ASSERT(vhd_check(images[i].path, &check, found, NULL, &result,
                        &err) == 0);
  FUZZ_ASSERT(result.errors == 0);
  if (forgot)
    return;
  uint8_t *data = malloc(disk->size);
  FUZZ_ASSERT(data && vhd_open(images[i].path, &opt, &image, &err) == 0);
  FUZZ_ASSERT(vhd_pread(image, data, disk->size, 0) == 0);
  FUZZ_ASSERT(vhd_close(image, &err) == 0);
  FUZZ_ASSERT(house_agrees(disk, 0, data, disk->size));
  free(data);
}

/* What is known may be less than what is there. */
static void
reset_disk(unsigned i)
{
  if (is_changed(i)) {
    if (!images[i].spoiled) {
      FUZZ_ASSERT(!disks[i].readonly);
      check_image(i);
    }
    put_back(i);
  } else if (memchr(disks[i].known, false, disks[i].size)) {
    memset(disks[i].known, true, disks[i].size);
    memcpy(disks[i].data, images[i].forge.disk, disks[i].size);
  }
}

struct house_disk *
house_disk(unsigned i)
{
  return &disks[i];
}

void
house_forget(void)
{
  forgot = true;
}

bool
house_forgot(void)
{
  return forgot;
}

void
house_spoil(unsigned i)
{
  struct stat st;

  FUZZ_ASSERT(stat(images[i].path, &st) == 0);
  FUZZ_ASSERT(truncate(images[i].path, st.st_size / 2) == 0);
  images[i].spoiled = true;
}

bool
house_is_troubled(void)
{
  for (unsigned i = 0; i < HOUSE_NEXPORTS; i++)
    if (images[i].spoiled)
      return true;
  return starved;
}

/* ------------------------------------------------------------ begin and end */

static void
write_text(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  size_t len = strlen(text);

  FUZZ_ASSERT(fd >= 0 && write(fd, text, len) == (ssize_t)len);
  close(fd);
}

static void
clean_up(void)
{
  static const char *const others[] = {"parent.vhd", "folder/broken.vhd"};
  for (unsigned i = 0; i < HOUSE_NEXPORTS; i++)
    unlink(images[i].path);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    unlink(others[i]);
  rmdir("folder");
  if (chdir("/") == 0)
    rmdir(folder);
}

static void
close_house(void)
{
  struct vhd_error err;

  FUZZ_ASSERT(server_stop(server, &err) == 0);
  server_free(server);
  tls_context_free(tls);
  for (unsigned i = 0; i < HOUSE_NEXPORTS; i++) {
    forge_free(&images[i].forge);
    free(disks[i].data);
    free(disks[i].known);
  }
  clean_up();
}

static void
make_folder(void)
{
  const char *tmp = getenv("FUZZ_FOLDER");

  if (!tmp)
    tmp = getenv("TEST_SHM");
  if (!tmp || !*tmp)
    tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(folder, sizeof folder, "%s/vhdkit-fuzz.XXXXXX", tmp);
  FUZZ_ASSERT(mkdtemp(folder) != NULL && chdir(folder) == 0);
  FUZZ_ASSERT(mkdir("folder", 0700) == 0);
  write_text("folder/broken.vhd", "not an image");
  forge_all();
  for (unsigned i = 0; i < HOUSE_NEXPORTS; i++) {
    disks[i].size = images[i].forge.disk_len;
    disks[i].data = malloc(disks[i].size);
    disks[i].known = malloc(disks[i].size);
    FUZZ_ASSERT(disks[i].data && disks[i].known);
    put_back(i);
  }
}

/* A key_reader. */
static int
read_keys(void *opaque, const char *path, unsigned char **bytes, size_t *n,
          struct vhd_error *err)
{
  static const char keys[] =
    HOUSE_IDENTITY ":1337c0de1337c0de0feed00dcafebabe\n";

  (void)opaque;
  (void)path;
  (void)err;
  *bytes = (unsigned char *)strdup(keys);
  FUZZ_ASSERT(*bytes);
  *n = strlen(keys);
  return 0;
}

static void
start_server(void)
{
  static struct server_config config = {
    .exports = exports,
    .nexports = sizeof exports / sizeof *exports,
    .directory = "folder",
    .threads = 1,
    .open = {.journal_dir = folder},
    /* Small, so that an input comes to them; but nobody waits for a deadline
     * where all is well. */
    .limits = {
      .handshake_sec = 3 * HOUSE_PATIENCE_MSEC / 1000,
      .requests = 8,
      .bytes = 2 << 20,
      .bytes_total = 8 << 20,
    },
    .tls = SERVER_TLS_ON,
    .tls_stream = make_tls_stream,
  };
  static const struct tls_config tls_config = {
    .psk = "keys",
    .read = read_keys,
  };
  struct vhd_error err;

  FUZZ_ASSERT(tls_context_new(&tls_config, &tls, &err) == 0);
  config.tls_opaque = tls;
  FUZZ_ASSERT(server_new(&config, &server, &err) == 0);
  FUZZ_ASSERT(server_start(server, &err) == 0);
}

void
house_open(void)
{
  if (server)
    return;
  memset(description, 'd', sizeof description - 1);
  log_set_level((enum log_level)(LOG_LEVEL_ERROR - 1)); /* not even those */
  make_folder();
  start_server();
  atexit(close_house);
}

/* ------------------------------------------------------------------ clients */

int
house_connect(int sndbuf)
{
  const int much = 1 << 20;
  struct visitor nobody;
  int fd[2];

  FUZZ_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                         0, fd) == 0);
  if (sndbuf > 0)
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
  /* So that much can be sent at once. */
  setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  visitor_init(&nobody, fd[0], NULL, 0);
  FUZZ_ASSERT(server_accept(server, fd[0], &nobody) == 0);
  return fd[1];
}

struct visit {
  struct task task; /* first */
  sem_t done;
};

static void
on_visit(struct task *task)
{
  sem_post(&((struct visit *)task)->done);
}

static struct timespec
patience(clockid_t clock)
{
  struct timespec until;

  clock_gettime(clock, &until);
  until.tv_sec += HOUSE_PATIENCE_MSEC / 1000;
  return until;
}

/* Has the loop run it, and waits for that. */
static void
visit_loop(void (*run)(struct task *))
{
  const struct timespec until = patience(CLOCK_REALTIME);
  struct visit visit = {.task.run = run};
  int r;

  sem_init(&visit.done, 0, 0);
  loop_post(server->workers[0].loop, &visit.task);
  do
    r = sem_timedwait(&visit.done, &until);
  while (r < 0 && errno == EINTR);
  FUZZ_ASSERT(r == 0); /* the loop hangs */
  sem_destroy(&visit.done);
}

void
house_barrier(void)
{
  /* The first may be run before a socket that was readable by then; the second
   * comes with the events that follow those. */
  visit_loop(on_visit);
  visit_loop(on_visit);
}

static void
on_stop(struct task *task)
{
  connections_shut_down(&server->workers[0]);
  on_visit(task);
}

/* What a loop keeps for the next request: gone, so that an input does not hang
 * on those before it, and ASan sees what is used after it was given back. */
static void
on_clear(struct task *task)
{
  struct worker *worker = &server->workers[0];

  op_clear_spare(worker);
  receive_clear_input(worker);
  bufs_clear(&worker->loop->bufs);
  on_visit(task);
}

void
house_starve(unsigned pass, unsigned fail)
{
  visit_loop(on_clear);
  starved = true;
  starve_begin(pass, fail);
}

void
house_stop(void)
{
  visit_loop(on_stop);
}

static void
wait_alone(void)
{
  const struct timespec until = patience(CLOCK_MONOTONIC);
  int r = 0;

  pthread_mutex_lock(&server->lock);
  while (atomic_load(&server->nconnections) > 0 && r == 0)
    r = pthread_cond_timedwait(&server->changed, &server->lock, &until);
  pthread_mutex_unlock(&server->lock);
  FUZZ_ASSERT(r == 0); /* a connection hangs */
}

/* A socket or a file of ours that is left open takes the place of the next new
 * descriptor; so may what the C library, the sanitizers and the fuzzer open. */
static void
check_descriptors(void)
{
  static int lowest = -1;
  char path[64], name[256] = "";
  const int fd = dup(STDERR_FILENO);

  FUZZ_ASSERT(fd >= 0);
  close(fd);
  if (lowest >= 0 && fd > lowest) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", lowest);
    if (readlink(path, name, sizeof name - 1) < 0)
      name[0] = '\0';
    FUZZ_ASSERT(strncmp(name, "socket:", 7) != 0);
    FUZZ_ASSERT(strncmp(name, folder, strlen(folder)) != 0);
  }
  lowest = fd;
}

/* What an image that could not be closed well has left. */
static void
remove_journals(void)
{
  struct dirent *entry;
  DIR *dir = opendir(".");

  FUZZ_ASSERT(dir);
  while ((entry = readdir(dir)) != NULL)
    if (strstr(entry->d_name, ".journal"))
      unlink(entry->d_name);
  closedir(dir);
}

/* The images are as they were, but for one it is still known that it could not
 * be closed. */
static void
pardon(void)
{
  struct vhd_error err;

  remove_journals();
  FUZZ_ASSERT(catalog_start(server->catalog, &err) == 0);
  FUZZ_ASSERT(catalog_stop(server->catalog, HOUSE_PATIENCE_MSEC / 1000,
                            &err) == 0);
}

void
house_settle(void)
{
  const bool troubled = house_is_troubled();
  struct vhd_error err;

  wait_alone();
  FUZZ_ASSERT(atomic_load(&server->budget.used) == 0);
  const int r =
    catalog_stop(server->catalog, HOUSE_PATIENCE_MSEC / 1000, &err);
  FUZZ_ASSERT(r == 0 || (troubled && r != -ETIMEDOUT));
  starve_end();
  visit_loop(on_clear);
  for (unsigned i = 0; i < HOUSE_NEXPORTS; i++)
    reset_disk(i);
  forgot = starved = false;
  if (r != 0)
    pardon();
  check_descriptors();
}
