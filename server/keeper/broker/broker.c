/* SPDX-License-Identifier: BSD-2-Clause */
/* broker.c: asking helpers; see broker.h. */
#include "config.h"

#include "keeper/broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "keeper/broker/message.h"

#define MAX_HELPERS 64
#define MAX_OF_FOLDER 8 /* at work in one folder, whose disk may hang */
#define MAX_IDLE 4      /* more than that are sent home */

static struct broker {
  int asks;
  pthread_mutex_t asking;   /* a question to the keeper and its answer */
  pthread_mutex_t lock;     /* what is below */
  pthread_cond_t changed;   /* one is idle, has gone, or left a folder */
  int channel[MAX_HELPERS]; /* of those that are idle */
  unsigned nidle, n;
  unsigned policy; /* of the keeper: how often it has changed */
  uint64_t
    work[MAX_HELPERS]; /* the folders of those that are at work in one */
  unsigned nwork;
} broker = {
  .asks = -1,
  .asking = PTHREAD_MUTEX_INITIALIZER,
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .changed = PTHREAD_COND_INITIALIZER,
};

/* ------------------------------------------------------------------ helpers */

int
broker_new_helper(enum broker_helper kind)
{
  const char byte = (char)kind;
  unsigned char result = EPIPE;
  int channel = -1;

  pthread_mutex_lock(&broker.asking);
  int r = message_send(broker.asks, &byte, 1, -1);
  if (r == 0 && message_receive(broker.asks, &result, 1, &channel) != 1)
    r = -EPIPE;
  pthread_mutex_unlock(&broker.asking);
  if (r == 0 && result == 0 && channel >= 0)
    return channel;
  if (channel >= 0)
    close(channel);
  return r < 0 ? r : result != 0 ? -result : channel == -1 ? -EPIPE : channel;
}

/* The lock is held.  Whether one may begin to work in a folder; for the rest
 * there must be helpers left, though its disk hangs.  0: in none. */
static bool
enter(uint64_t folder)
{
  unsigned there = 0;

  for (unsigned i = 0; folder != 0 && i < broker.nwork; i++)
    there += broker.work[i] == folder;
  if (there >= MAX_OF_FOLDER || broker.nwork == MAX_HELPERS)
    return false;
  if (folder != 0)
    broker.work[broker.nwork++] = folder;
  return true;
}

/* The lock is held. */
static void
leave(uint64_t folder)
{
  for (unsigned i = 0; folder != 0 && i < broker.nwork; i++) {
    if (broker.work[i] == folder) {
      broker.work[i] = broker.work[--broker.nwork];
      break;
    }
  }
  pthread_cond_broadcast(&broker.changed);
}

/* One that is idle, or a new one, or the first to become idle; *policy is that
 * which it has, or an older one. */
static int
take_helper(uint64_t folder, unsigned *policy)
{
  int channel = -EAGAIN;

  pthread_mutex_lock(&broker.lock);
  while (!enter(folder))
    pthread_cond_wait(&broker.changed, &broker.lock);
  *policy = broker.policy;
  while (channel < 0) {
    if (broker.nidle > 0) {
      channel = broker.channel[--broker.nidle];
      break;
    }
    if (broker.n < MAX_HELPERS) {
      broker.n++;
      *policy = broker.policy;
      pthread_mutex_unlock(&broker.lock);
      channel = broker_new_helper(BROKER_FILES);
      pthread_mutex_lock(&broker.lock);
      broker.n -= channel < 0;
    }
    if (channel < 0 && broker.n == 0)
      break;
    if (channel < 0 && broker.nidle == 0)
      pthread_cond_wait(&broker.changed, &broker.lock);
  }
  if (channel < 0)
    leave(folder);
  pthread_mutex_unlock(&broker.lock);
  return channel;
}

static void
give_helper(int channel, uint64_t folder, bool works, unsigned policy)
{
  pthread_mutex_lock(&broker.lock);
  if (works && policy == broker.policy && broker.nidle < MAX_IDLE) {
    broker.channel[broker.nidle++] = channel;
    channel = -1;
  } else {
    broker.n--;
  }
  leave(folder);
  pthread_mutex_unlock(&broker.lock);
  if (channel >= 0)
    close(channel);
}

/* ----------------------------------------------------------------- requests */

/* 0 with *fd, which is -1 where the answer has none; -errno if there is no
 * answer, -EPIPE or -ECONNRESET: the helper is dead, and has not read it. */
static int
exchange(int channel, const struct broker_request *request, int with,
         struct broker_answer *answer, int *fd)
{
  int r = message_send(channel, request, sizeof *request, with);

  *fd = -1;
  if (r == 0) {
    ssize_t n = message_receive(channel, answer, sizeof *answer, fd);
    r = n == (ssize_t)sizeof *answer ? 0 : n < 0 ? (int)n : -EIO;
  }
  answer->text[sizeof answer->text - 1] = '\0';
  if (r < 0 && *fd >= 0) {
    close(*fd);
    *fd = -1;
  }
  return r;
}

/* A number for the folder in which a request looks, which may be one whose disk
 * hangs; 0: none.  That two folders have the same does no harm. */
static uint64_t
folder_of(const struct broker_request *request)
{
  const char *end = request->op == BROKER_LIST
                      ? request->path + strlen(request->path)
                    : request->op == BROKER_READ || request->op == BROKER_WRITE
                      ? strrchr(request->path, '/')
                      : NULL;
  uint64_t folder = end ? 14695981039346656037U : 0; /* FNV-1a */

  for (const char *p = request->path; end != NULL && p < end; p++)
    folder = (folder ^ (unsigned char)*p) * 1099511628211U;
  return folder;
}

/* One that died while it was idle is replaced by the next. */
static int
ask(const struct broker_request *request, int with,
    struct broker_answer *answer, int *fd)
{
  const uint64_t folder = folder_of(request);
  unsigned policy;
  int r = -EPIPE;

  *fd = -1;
  for (unsigned i = 0; i <= MAX_IDLE + 1 && (r == -EPIPE || r == -ECONNRESET);
       i++) {
    int channel = take_helper(folder, &policy);
    if (channel < 0)
      return channel;
    r = exchange(channel, request, with, answer, fd);
    give_helper(channel, folder, r == 0, policy);
  }
  return r;
}

static int
fill(struct broker_request *request, enum broker_op op, const char *path)
{
  memset(request, 0, sizeof *request);
  request->op = op;
  if (strlen(path) >= sizeof request->path)
    return -ENAMETOOLONG;
  strcpy(request->path, path);
  return 0;
}

/* Why the answer has no descriptor. */
static int
missing(int fd)
{
  return fd == -1 ? -EIO : fd;
}

/* A descriptor where the answer must carry one, or 0; -errno. */
static int
ask_about(const struct broker_request *request, int with, bool opens)
{
  struct broker_answer answer;
  int fd;

  int r = ask(request, with, &answer, &fd);
  if (r == 0)
    r = answer.result < 0 ? answer.result : opens && fd < 0 ? missing(fd) : 0;
  if ((r < 0 || !opens) && fd >= 0)
    close(fd);
  return r < 0 ? r : opens ? fd : 0;
}

/* ----------------------------------------------------------------- the host */

/* What the library means by open(2)'s flags. */
static enum broker_op
op_of(int folder, int flags)
{
  if (folder != AT_FDCWD)
    return flags & O_CREAT ? BROKER_MAKE_JOURNAL : BROKER_READ_JOURNAL;
  if (flags & O_DIRECTORY)
    return BROKER_LIST;
  return (flags & O_ACCMODE) == O_RDONLY ? BROKER_READ : BROKER_WRITE;
}

static int
host_open(void *opaque, int folder, const char *path, int flags, unsigned mode)
{
  struct broker_request request;

  (void)opaque;
  (void)mode;
  if (flags & O_PATH) {
    /* A place to look from, which opens nothing: the worker may itself. */
    int fd = openat(folder, path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
  }
  if (folder == AT_FDCWD && (flags & O_CREAT))
    return -EACCES; /* it makes no images */
  int r = fill(&request, op_of(folder, flags), path);
  return r < 0 ? r
               : ask_about(&request, folder == AT_FDCWD ? -1 : folder, true);
}

static int
host_unlink(void *opaque, int folder, const char *name)
{
  const bool beside = folder == AT_FDCWD; /* an image */
  struct broker_request request;
  int r = fill(&request,
               beside ? BROKER_UNLINK_COMPANION : BROKER_UNLINK_JOURNAL, name);

  (void)opaque;
  return r < 0 ? r : ask_about(&request, beside ? -1 : folder, false);
}

static int
host_rename(void *opaque, int folder, const char *from, const char *to)
{
  struct broker_request request;
  int r = fill(&request, BROKER_RENAME_JOURNAL, from);

  (void)opaque;
  if (r == 0 && strlen(to) >= sizeof request.to)
    r = -ENAMETOOLONG;
  if (r == 0) {
    strcpy(request.to, to);
    r = ask_about(&request, folder, false);
  }
  return r;
}

static int
host_mkdir(void *opaque, const char *path, unsigned mode)
{
  struct broker_request request;
  int r = fill(&request, BROKER_MAKE_PLACE, path);

  (void)opaque;
  (void)mode;
  return r < 0 ? r : ask_about(&request, -1, false);
}

static bool
host_holder(void *opaque, int fd, long pid, int number, char *text,
            size_t size)
{
  struct broker_request request;
  struct broker_answer answer;
  int none;

  (void)opaque;
  fill(&request, BROKER_HOLDER, "");
  request.pid = (int32_t)pid;
  request.number = number;
  int r = ask(&request, fd, &answer, &none);
  if (none >= 0)
    close(none);
  snprintf(text, size, "%s",
           r == 0 && answer.result >= 0 ? answer.text : "another program");
  return r == 0 && answer.result > 0;
}

static const struct vhd_host host = {
  .open = host_open,
  .unlink = host_unlink,
  .rename = host_rename,
  .mkdir = host_mkdir,
  .holder = host_holder,
};

/* ------------------------------------------------------------------- public */

int
broker_begin(int asks, struct vhd_error *err)
{
  unsigned policy;

  broker.asks = asks;
  /* The first one now, so that there is one, whatever limits come. */
  int channel = take_helper(0, &policy);
  if (channel < 0)
    return fail_system(err, -channel, "cannot start a helper process");
  give_helper(channel, 0, true, policy);
  vhd_set_host(&host);
  return 0;
}

/* The lock is held. */
static void
send_home(void)
{
  while (broker.nidle > 0) {
    close(broker.channel[--broker.nidle]);
    broker.n--;
  }
}

void
broker_renew(void)
{
  pthread_mutex_lock(&broker.lock);
  broker.policy++;
  send_home();
  pthread_cond_broadcast(&broker.changed);
  pthread_mutex_unlock(&broker.lock);
}

void
broker_end(void)
{
  broker_renew();
}

/* What the helper says of why not. */
static int
say_why(struct vhd_error *err, const struct broker_answer *answer)
{
  *err = (struct vhd_error){ .code = answer->code, .sys = -answer->result };
  memcpy(err->message, answer->text, sizeof answer->text);
  return answer->result;
}

static int
put_name(struct broker_request *request, const char *name)
{
  if (name && strlen(name) >= sizeof request->to)
    return -ENAMETOOLONG;
  strcpy(request->to, name ? name : "");
  return 0;
}

int
broker_change(enum broker_op op, const char *path, const char *name,
              uint64_t size, uint32_t msec, struct vhd_error *err)
{
  struct broker_request request;
  struct broker_answer answer = { .result = 0 };
  int fd = -1, r = fill(&request, op, path);

  if (r == 0)
    r = put_name(&request, name);
  request.size = size;
  request.msec = msec;
  const int channel = r < 0 ? r : broker_new_helper(BROKER_CHANGES);
  if (channel < 0)
    return fail_system(err, -channel, "%s: no helper changes it", path);
  r = exchange(channel, &request, -1, &answer, &fd);
  close(channel);
  if (fd >= 0)
    close(fd);
  if (r < 0)
    return fail_system(err, -r,
                       "%s: the helper that changed it has died, or took too "
                       "long",
                       path);
  return answer.result < 0 ? say_why(err, &answer) : 0;
}

/* It may be written meanwhile: what is there by its size at the beginning. */
static int
read_all(int fd, unsigned char **bytes, size_t *n)
{
  struct stat st;

  if (fstat(fd, &st) < 0 || st.st_size > BROKER_MAX_KEY)
    return -EFBIG;
  unsigned char *data = malloc((size_t)st.st_size + 1);
  if (!data)
    return -ENOMEM;
  ssize_t got = pread(fd, data, (size_t)st.st_size, 0);
  if (got < 0) {
    int r = -errno;
    free(data);
    return r;
  }
  *bytes = data;
  *n = (size_t)got;
  return 0;
}

/* The descriptor of an opened file of keys, or -errno. */
static int
open_key(const char *path)
{
  struct broker_request request;
  struct broker_answer answer;
  int fd = -1, r = fill(&request, BROKER_KEY, path);
  int channel = r < 0 ? r : broker_new_helper(BROKER_KEYS);

  if (channel < 0)
    return channel;
  r = exchange(channel, &request, -1, &answer, &fd);
  close(channel);
  if (r == 0 && answer.result < 0)
    r = answer.result;
  if (r < 0 && fd >= 0)
    close(fd);
  return r < 0 ? r : fd < 0 ? missing(fd) : fd;
}

int
keeper_look(void *opaque, const char *path, struct stat *st)
{
  int fd = open_key(path);

  (void)opaque;
  if (fd < 0)
    return fd;
  int r = fstat(fd, st) < 0 ? -errno : 0;
  close(fd);
  return r;
}

int
keeper_read(void *opaque, const char *path, unsigned char **bytes, size_t *n,
            struct vhd_error *err)
{
  int fd = open_key(path);
  int r = fd < 0 ? fd : read_all(fd, bytes, n);

  (void)opaque;
  if (fd >= 0)
    close(fd);
  return r == 0              ? 0
         : r == -EMEDIUMTYPE ? fail_argument(err,
                                             "%s: keys are read from a "
                                             "regular file, for they are read "
                                             "again later: no pipe, device or "
                                             "/dev/fd",
                                             path)
                             : fail_system(err, -r, "cannot read %s", path);
}
