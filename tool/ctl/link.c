/* SPDX-License-Identifier: BSD-2-Clause */
/* link.c: see link.h. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/link.h"
#include "message.h"
#include "progress.h"

#define PROTOCOL 1

static const char *path = LINK_SOCKET;
static bool wants_json;

const struct option_spec link_options[] = {
  { .name = "socket", .kind = OPTION_STRING, .value = &path,
    .argument = "PATH", .help = "vhdkitd's control socket "
                                "[" LINK_SOCKET "]" },
  { .name = "json", .kind = OPTION_FLAG, .value = &wants_json,
    .help = "print JSON" },
  { 0 },
};

struct link {
  int fd;
  FILE *in;
  char *line; /* of getline(3) */
  size_t size;
  uint64_t last; /* the number of the last request */
};

bool
link_json(void)
{
  return wants_json;
}

/* ------------------------------------------------------------------ opening */

static int
connect_to(void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  if (strlen(path) >= sizeof address.sun_path) {
    complain_usage("%s: the path of a Unix socket has at most %zu bytes", path,
                   sizeof address.sun_path - 1);
    return -1;
  }
  memcpy(address.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 &&
      connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  if (errno == ECONNREFUSED)
    complain("%s: no vhdkitd takes commands there any more", path);
  else
    complain_sys(errno, "%s", path);
  if (fd >= 0)
    close(fd);
  return -1;
}

/* The next line; NULL: it has complained. */
static struct json *
read_line(struct link *link)
{
  errno = 0;
  ssize_t n = getline(&link->line, &link->size, link->in);
  struct json *line = n > 0 ? json_read(link->line, (size_t)n) : NULL;

  if (n < 0)
    complain("%s: the server has hung up", path);
  else if (line == NULL)
    complain("%s: what answers there is no vhdkitd", path);
  return line;
}

/* Of an error's class: the exit code that has the same name. */
static int
code_of(const char *class)
{
  for (int code = EXIT_FAILED; class != NULL && code <= EXIT_REFUSED; code++)
    if (strcmp(exits_class(code), class) == 0)
      return code;
  return EXIT_FAILED;
}

/* Whether the line is an error, of which it then complains. */
static bool
is_error(const struct json *line)
{
  const struct json *error = json_get(line, "error");
  const char *text = json_text(json_get(error, "text"));

  if (error == NULL)
    return false;
  complain_as(code_of(json_text(json_get(error, "class"))), "%s",
              text != NULL ? text : "an error without a word");
  return true;
}

static bool
greet(struct link *link)
{
  struct json *line = read_line(link);
  bool fine = line != NULL && !is_error(line);

  if (fine && json_int(json_get(line, "protocol")) != PROTOCOL) {
    complain("%s: the server speaks another protocol than this vhdkitctl",
             path);
    fine = false;
  }
  json_free(line);
  return fine;
}

struct link *
link_open(void)
{
  struct link *link = calloc(1, sizeof *link);

  if (link == NULL)
    abort();
  link->fd = connect_to();
  link->in = link->fd >= 0 ? fdopen(link->fd, "r") : NULL;
  if (link->in == NULL || !greet(link)) {
    link_close(link);
    return NULL;
  }
  return link;
}

void
link_close(struct link *link)
{
  if (link->in != NULL)
    fclose(link->in);
  else if (link->fd >= 0)
    close(link->fd);
  free(link->line);
  free(link);
}

/* ------------------------------------------------------------------- asking */

static bool
send_all(int fd, const char *text, size_t len)
{
  while (len > 0) {
    ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      complain_sys(errno, "%s", path);
      return false;
    }
    text += n;
    len -= (size_t)n;
  }
  return true;
}

static bool
send_request(struct link *link, const char *verb, struct json *args)
{
  struct json *request = json_object_new();
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);

  if (out == NULL)
    abort();
  json_put_int(request, "id", ++link->last);
  json_put_string(request, "verb", verb);
  if (args != NULL)
    json_put(request, "args", args);
  json_print_line(request, out);
  fclose(out);
  bool sent = send_all(link->fd, text, len);
  free(text);
  return sent;
}

static void
show_progress(const char *verb, const struct json *progress, bool *begun)
{
  if (!*begun)
    progress_begin(verb, json_int(json_get(progress, "total")));
  *begun = true;
  progress_update(json_int(json_get(progress, "done")));
}

/* The result of the line, or NULL. */
static struct json *
await(struct link *link, const char *verb, const char *key)
{
  bool begun = false;

  for (;;) {
    struct json *line = read_line(link);
    const struct json *progress = json_get(line, "progress");
    const struct json *result = json_get(line, key);
    if (progress != NULL && result == NULL) {
      show_progress(verb, progress, &begun);
      json_free(line);
      continue;
    }
    if (begun)
      progress_end();
    struct json *kept = result != NULL ? json_keep(result) : NULL;
    if (line != NULL && kept == NULL && !is_error(line))
      complain("%s: an answer without a result", path);
    json_free(line);
    return kept;
  }
}

struct json *
link_ask(struct link *link, const char *verb, struct json *args)
{
  return send_request(link, verb, args) ? await(link, verb, "result") : NULL;
}

struct json *
link_ask_once(const char *verb, struct json *args)
{
  struct link *link = link_open();
  struct json *result;

  if (link == NULL) {
    json_free(args);
    return NULL;
  }
  result = link_ask(link, verb, args);
  link_close(link);
  return result;
}

bool
link_told(struct json *result, int *status)
{
  *status = result != NULL ? EXIT_DONE : EXIT_FAILED;
  if (result != NULL && link_json())
    json_print(result);
  return result == NULL || link_json();
}

int
link_tell(struct json *result, void (*show)(const struct json *result))
{
  int status;

  if (link_told(result, &status))
    return status;
  if (show != NULL)
    show(result);
  json_free(result);
  return status;
}

bool
link_follow(struct link *link)
{
  struct json *begun = send_request(link, "events", NULL)
                         ? await(link, "events", "following")
                         : NULL;

  json_free(begun);
  return begun != NULL;
}

struct json *
link_event(struct link *link)
{
  return await(link, "events", "event");
}
