/* SPDX-License-Identifier: BSD-2-Clause */
/* nbd-talk.c: plays conversations with the NBD handshake.  See nbd-talk.h. */
#include "config.h"

#include "unit/nbd-talk.h"

#include <ctype.h>

#include "nbd/protocol.h"
#include "nbd/text.h"
#include "unit/unit.h"

#define MAX_LINES 64
#define MAX_BYTES ((size_t)256 << 10)

enum cut { CUT_WHOLE, CUT_BYTES, CUT_RANDOM, NCUTS };

struct bytes {
  unsigned char p[MAX_BYTES];
  size_t len;
};

struct talk {
  const char *name;
  struct nbd_handshake hs;
  struct nbd_out out;
  struct bytes heard; /* what the server said and was not matched yet */
  struct bytes all;   /* everything it said in this cut */
  struct bytes first; /* and in the first one */
  enum nbd_event event;
  enum cut cut;
};

/* ------------------------------------------------------------ the notation */

static void
put(struct bytes *b, const void *p, size_t n)
{
  assert_true(n <= sizeof b->p - b->len);
  if (n > 0)
    memcpy(b->p + b->len, p, n);
  b->len += n;
}

static void
put_number(struct bytes *b, uint64_t value, unsigned size)
{
  for (unsigned i = size; i-- > 0;) {
    unsigned char c = (unsigned char)(value >> (8 * i));
    put(b, &c, 1);
  }
}

/* One token of DATA. */
static void
put_token(const char *name, struct bytes *b, const char *t)
{
  char *end;
  unsigned long n;

  if (t[0] == 'u' && strchr(t, ':')) {
    put_number(b, strtoull(strchr(t, ':') + 1, NULL, 0),
               (unsigned)atoi(t + 1) / 8);
  } else if (t[0] == '\'') {
    put(b, t + 1, strlen(t) - 2);
  } else if (t[0] == '%') {
    put_number(b, strtoul(t + 1, NULL, 16), 1);
  } else if (t[0] == 'z' && isdigit((unsigned char)t[1])) {
    for (n = strtoul(t + 1, NULL, 0); n > 0; n--)
      put_number(b, 0, 1);
  } else if ((n = strtoul(t, &end, 0)) > 0 && *end == 'x' && end[1]) {
    for (; n > 0; n--)
      put(b, end + 1, 1);
  } else {
    fail_msg("%s: what is '%s'?", name, t);
  }
}

/* The next word of a line, NULL at its end; quotes keep spaces. */
static char *
next_word(char **line)
{
  char *p = *line + strspn(*line, " ");
  if (*p == '\0')
    return NULL;
  char *end = *p == '\'' ? strchr(p + 1, '\'') + 1 : p + strcspn(p, " ");
  *line = *end ? end + 1 : end;
  *end = '\0';
  return p;
}

static void
put_tokens(const char *name, struct bytes *b, char *line)
{
  char *word;
  while ((word = next_word(&line)))
    put_token(name, b, word);
}

static uint32_t
option_code(const char *word)
{
  char full[64];
  snprintf(full, sizeof full, "NBD_OPT_%s", word);
  for (uint32_t code = 1; code <= NBD_OPT_EXTENDED_HEADERS; code++)
    if (strcmp(nbd_opt_name(code), full) == 0)
      return code;
  return (uint32_t)strtoul(word, NULL, 0);
}

static uint32_t
reply_code(const char *name, const char *word)
{
  char full[64];
  snprintf(full, sizeof full, "NBD_REP_%s", word);
  for (uint32_t i = 1; i <= 16; i++) {
    if (strcmp(nbd_rep_name(i), full) == 0)
      return i;
    if (strcmp(nbd_rep_name(NBD_REP_ERR + i), full) == 0)
      return NBD_REP_ERR + i;
  }
  fail_msg("%s: no reply '%s'", name, word);
  return 0;
}

static const struct {
  const char *word;
  enum nbd_close reason;
} reasons[] = {
  {"ABORT", NBD_CLOSE_ABORT},
  {"FLAGS", NBD_CLOSE_FLAGS},
  {"MAGIC", NBD_CLOSE_MAGIC},
  {"NOT_FIXED", NBD_CLOSE_NOT_FIXED},
  {"EXPORT_NAME", NBD_CLOSE_EXPORT_NAME},
  {"INJECTION", NBD_CLOSE_INJECTION},
  {"TOO_MANY", NBD_CLOSE_TOO_MANY},
  {"TOO_MUCH", NBD_CLOSE_TOO_MUCH},
  {"NO_MEMORY", NBD_CLOSE_NO_MEMORY},
};

/* ------------------------------------------------------------- the owner */

#define DISK_FLAGS                                                       \
  (NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |        \
   NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |                \
   NBD_FLAG_SEND_CACHE | NBD_FLAG_CAN_MULTI_CONN)

static const struct nbd_export_info catalogue[] = {
  {.name = "disk", .description = "a disk", .size = 1 << 20,
   .flags = DISK_FLAGS},
  {.name = "flat", .size = 1 << 20, .flags = DISK_FLAGS},
  {.name = "ro", .size = 1 << 20, .flags = DISK_FLAGS | NBD_FLAG_READ_ONLY},
  {.name = "secret", .size = 1 << 20, .flags = DISK_FLAGS, .tls_only = true},
  {.name = "coarse", .size = 1 << 20, .flags = DISK_FLAGS, .min_block = 4096,
   .preferred_block = 4096, .max_payload = NBD_LEGAL_PAYLOAD},
};

static enum nbd_event
answer_export(struct talk *t)
{
  const char *name = t->hs.want.name;
  if (*name == '\0' || strcmp(name, "/disk") == 0)
    name = "disk";
  for (size_t i = 0; i < ARRAY_SIZE(catalogue); i++)
    if (strcmp(catalogue[i].name, name) == 0)
      return nbd_handshake_export(&t->hs, &catalogue[i], &t->out);
  if (strcmp(name, "busy") == 0)
    return nbd_handshake_refuse(&t->hs, NBD_REP_ERR_POLICY, "it is in use",
                                &t->out);
  return nbd_handshake_refuse(&t->hs, NBD_REP_ERR_UNKNOWN, NULL, &t->out);
}

static enum nbd_event
answer_list(struct talk *t)
{
  for (size_t i = 0; i < ARRAY_SIZE(catalogue); i++) {
    if (catalogue[i].tls_only && !t->hs.tls)
      continue;
    ROW_TRUE(t->name,
             nbd_handshake_list_item(&t->hs, &t->out, catalogue[i].name,
                                     catalogue[i].description));
  }
  /* Names that cannot travel are left out. */
  ROW_TRUE(t->name,
           nbd_handshake_list_item(&t->hs, &t->out, "not\xffutf8", NULL));
  return nbd_handshake_list_end(&t->hs, &t->out);
}

static void
hear(struct talk *t)
{
  ROW_TRUE(t->name, !t->out.failed);
  put(&t->heard, t->out.data, t->out.len);
  put(&t->all, t->out.data, t->out.len);
  nbd_out_consume(&t->out, t->out.len);
}

static size_t
piece(const struct talk *t, size_t left)
{
  size_t n = t->cut == CUT_WHOLE ? left
           : t->cut == CUT_BYTES ? 1 : 1 + unit_random() % 40;
  return n < left ? n : left;
}

/* Feeds bytes as a connection would, and answers events. */
static void
say(struct talk *t, const struct bytes *b)
{
  size_t done = 0, used;

  while (t->event != NBD_EVENT_CLOSE && t->event != NBD_EVENT_READY) {
    size_t n = piece(t, b->len - done);
    t->event = nbd_handshake_feed(&t->hs, n ? b->p + done : NULL, n, &used,
                                  &t->out);
    assert_true(used <= n);
    done += used;
    if (t->event == NBD_EVENT_EXPORT)
      t->event = answer_export(t);
    else if (t->event == NBD_EVENT_LIST)
      t->event = answer_list(t);
    else if (t->event == NBD_EVENT_FLUSH)
      assert_true(t->out.len > 0 && done < b->len);
    else if (n == 0)
      break;
    hear(t);
  }
  hear(t);
}

/* ----------------------------------------------------------- the listener */

static void
expect_bytes(struct talk *t, const struct bytes *b, const char *line)
{
  if (t->heard.len < b->len)
    fail_msg("%s: only %zu of %zu bytes of: %s", t->name, t->heard.len,
             b->len, line);
  for (size_t i = 0; i < b->len; i++)
    if (t->heard.p[i] != b->p[i])
      fail_msg("%s: byte %zu is %#x, not %#x, in: %s", t->name, i,
               t->heard.p[i], b->p[i], line);
  t->heard.len -= b->len;
  memmove(t->heard.p, t->heard.p + b->len, t->heard.len);
}

/* Replaces the expected error's empty text with the one that came. */
static void
take_error_text(struct talk *t, struct bytes *b)
{
  if (t->heard.len < 20)
    return;
  size_t len = unit_get(t->heard.p, 16, 4);
  ROW_TRUE(t->name, len > 0 && len <= NBD_TEXT_SIZE);
  ROW_TRUE(t->name, t->heard.len >= 20 + len);
  ROW_TRUE(t->name, nbd_text_valid(t->heard.p + 20, len));
  b->len = 16;
  put_number(b, len, 4);
  put(b, t->heard.p + 20, len);
}

static void
play_server(struct talk *t, char *line, const char *whole)
{
  static struct bytes b, data;
  char *verb = next_word(&line);

  b.len = data.len = 0;
  if (strcmp(verb, "greeting") == 0) {
    put(&b, "NBDMAGICIHAVEOPT\0\3", 18);
  } else if (strcmp(verb, "rep") == 0) {
    uint32_t option = option_code(next_word(&line));
    uint32_t type = reply_code(t->name, next_word(&line));
    put_tokens(t->name, &data, line);
    put_number(&b, 0x3e889045565a9, 8);
    put_number(&b, option, 4);
    put_number(&b, type, 4);
    put_number(&b, data.len, 4);
    put(&b, data.p, data.len);
    if (type & NBD_REP_ERR)
      take_error_text(t, &b);
  } else {
    put_tokens(t->name, &b, line);
  }
  expect_bytes(t, &b, whole);
}

static void
play_client(struct talk *t, char *line, struct bytes *said)
{
  static struct bytes data;
  char *verb = next_word(&line);

  if (strcmp(verb, "flags") == 0) {
    put_number(said, strtoul(next_word(&line), NULL, 0), 4);
  } else if (strcmp(verb, "opt") == 0) {
    uint32_t option = option_code(next_word(&line));
    char *lie = strstr(line, "len=");
    if (lie)
      next_word(&line);
    data.len = 0;
    put_tokens(t->name, &data, line);
    put_number(said, 0x49484156454F5054, 8);
    put_number(said, option, 4);
    put_number(said, lie ? strtoul(lie + 4, NULL, 0) : data.len, 4);
    put(said, data.p, data.len);
  } else {
    put_tokens(t->name, said, line);
  }
}

static void
expect_end(struct talk *t, char *line)
{
  const struct nbd_session *s = &t->hs.session;
  bool structured = false, extended = false;
  unsigned contexts = 0;
  char *word = next_word(&line);

  if (strcmp(word, "more") == 0) {
    ROW_STRING(t->name, nbd_event_name(t->event), "MORE");
    return;
  }
  if (strcmp(word, "close") == 0) {
    ROW_STRING(t->name, nbd_event_name(t->event), "CLOSE");
    word = next_word(&line);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
      if (strcmp(reasons[i].word, word) == 0)
        ROW_STRING(t->name, nbd_close_name(t->hs.reason),
                   nbd_close_name(reasons[i].reason));
    return;
  }
  ROW_STRING(t->name, nbd_event_name(t->event), "READY");
  while ((word = next_word(&line))) {
    structured |= strcmp(word, "structured") == 0;
    extended |= strcmp(word, "extended") == 0;
    if (strncmp(word, "contexts=", 9) == 0)
      contexts = (unsigned)strtoul(word + 9, NULL, 0);
    if (strncmp(word, "flags=", 6) == 0)
      ROW_INT(t->name, s->flags, strtoul(word + 6, NULL, 0));
    if (strncmp(word, "size=", 5) == 0)
      ROW_INT(t->name, s->size, strtoul(word + 5, NULL, 0));
  }
  ROW_INT(t->name, s->structured, structured);
  ROW_INT(t->name, s->extended, extended);
  ROW_INT(t->name, s->contexts, contexts);
}

/* --------------------------------------------------------------- the play */

/* The replies to what was said so far must be those lines [from, to). */
static void
settle(struct talk *t, struct bytes *said, char **lines, size_t from,
       size_t to)
{
  char copy[8192];

  say(t, said);
  said->len = 0;
  for (size_t i = from; i < to; i++)
    if (lines[i][0] == 'S' && lines[i][1] == ' ') {
      snprintf(copy, sizeof copy, "%s", lines[i] + 2);
      play_server(t, copy, lines[i]);
    }
  if (t->heard.len > 0)
    fail_msg("%s: %zu bytes too many were sent, after: %s", t->name,
             t->heard.len, to > 0 ? lines[to - 1] : "the start");
}

static void
play_line(struct talk *t, struct bytes *said, char **lines, size_t i,
          size_t *settled)
{
  char copy[8192];
  char *rest = copy;
  snprintf(copy, sizeof copy, "%s", lines[i]);
  char *who = next_word(&rest);

  if (strcmp(who, "C") == 0) {
    play_client(t, rest, said);
    return;
  }
  if (strcmp(who, "S") == 0)
    return;
  settle(t, said, lines, *settled, i);
  *settled = i;
  if (strcmp(who, "TLS") == 0) {
    ROW_STRING(t->name, nbd_event_name(t->event), "STARTTLS");
    t->event = nbd_handshake_tls_up(&t->hs);
  } else if (strcmp(who, "SHUTDOWN") == 0) {
    nbd_handshake_shutdown(&t->hs);
  } else {
    expect_end(t, rest);
  }
}

static void
play(struct talk *t, char **lines, size_t n)
{
  static struct bytes said;
  size_t settled = 0;

  said.len = 0;
  t->heard.len = t->all.len = 0;
  t->out = (struct nbd_out){.max = NBD_HANDSHAKE_OUT_MAX};
  t->event = nbd_handshake_start(&t->hs, &t->out);
  for (size_t i = 0; i < n; i++)
    play_line(t, &said, lines, i, &settled);
  nbd_handshake_free(&t->hs);
  nbd_out_free(&t->out);
}

void
nbd_talk(const char *name, const struct nbd_policy *policy, bool is_tls,
         const char *script)
{
  static struct talk t;
  char *copy = strdup(script);
  char *lines[MAX_LINES];
  size_t n = 0;

  for (char *p = strtok(copy, "\n"); p; p = strtok(NULL, "\n")) {
    assert_true(n < MAX_LINES);
    lines[n++] = p;
  }
  if (lines[n - 1][0] != '=')
    fail_msg("%s: no end", name);
  for (t.cut = CUT_WHOLE; t.cut < NCUTS; t.cut++) {
    t.name = name;
    nbd_handshake_init(&t.hs, policy, is_tls);
    play(&t, lines, n);
    if (t.cut == CUT_WHOLE)
      t.first = t.all;
    ROW_INT(name, t.all.len, t.first.len);
    ROW_TRUE(name, memcmp(t.all.p, t.first.p, t.all.len) == 0);
  }
  free(copy);
}
