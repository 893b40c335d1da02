/* SPDX-License-Identifier: BSD-2-Clause */
/* options_meta.c: LIST_META_CONTEXT and SET_META_CONTEXT.
 *
 * The queries are matched while the option is parsed, so that only a set of
 * contexts is left when the owner has looked up the export; the set of those
 * matched waits in hs->infos, which these options do not use otherwise. */
#include "config.h"

#include "nbd/handshake/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "nbd/extents.h"
#include "nbd/text.h"

/* A piece of the payload that has not been parsed yet. */
struct cursor {
  unsigned char *p;
  uint32_t left;
};

static bool
take_u32(struct cursor *c, uint32_t *value)
{
  struct nbd_be32 wire;

  if (c->left < sizeof wire)
    return false;
  memcpy(&wire, c->p, sizeof wire);
  c->p += sizeof wire;
  c->left -= (uint32_t)sizeof wire;
  *value = nbd_get32(wire);
  return true;
}

/* A length and so many bytes. */
static bool
take_string(struct cursor *c, unsigned char **s, uint32_t *len)
{
  if (!take_u32(c, len) || *len > c->left)
    return false;
  *s = c->p;
  c->p += *len;
  c->left -= *len;
  return true;
}

/* The contexts that a query means.  "namespace:" alone lists them all but
 * selects none; what nobody knows is ignored. */
static uint16_t
match_query(const unsigned char *query, uint32_t len, bool list)
{
  uint16_t matched = 0;

  for (unsigned id = 1; id <= NBD_NCONTEXTS; id++) {
    const char *name = nbd_context_name(id);
    size_t namespace = (size_t)(strchr(name, ':') - name) + 1;
    bool exact = len == strlen(name);
    bool all = list && len == namespace;
    if ((exact || all) && memcmp(query, name, len) == 0)
      matched |= (uint16_t)NBD_CONTEXT_BIT(id);
  }
  return matched;
}

/* Parses the queries behind the name into hs->infos. */
static bool
parse_queries(struct nbd_handshake *hs, struct cursor *c, bool list)
{
  uint32_t n, len;
  unsigned char *query;

  if (!take_u32(c, &n))
    return false;
  hs->infos = 0;
  for (unsigned id = 1; list && n == 0 && id <= NBD_NCONTEXTS; id++)
    hs->infos |= (uint16_t)NBD_CONTEXT_BIT(id);
  /* Each query takes at least four bytes, so a lying n ends the loop soon. */
  for (uint32_t i = 0; i < n; i++) {
    if (!take_string(c, &query, &len) || !nbd_text_valid(query, len))
      return false;
    hs->infos |= match_query(query, len, list);
  }
  return c->left == 0;
}

/* Payload: string name, be32 n, n times a string. */
enum nbd_event
nbd_option_meta(struct nbd_handshake *hs, struct nbd_out *out)
{
  struct cursor c = { hs->payload, hs->option_len };
  bool list = hs->option == NBD_OPT_LIST_META_CONTEXT;
  unsigned char *name;
  uint32_t len;

  if (!hs->session.structured)
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "negotiate structured replies first");
  if (!take_string(&c, &name, &len) || !nbd_text_valid(name, len) ||
      !parse_queries(hs, &c, list))
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID, NULL);

  name[len] = '\0'; /* over the number of queries, which were parsed */
  hs->want.purpose = NBD_WANT_META;
  hs->want.name = (const char *)name;
  return nbd_handshake_wait(hs, NBD_HS_EXPORT);
}

static void
put_context(struct nbd_handshake *hs, struct nbd_out *out, uint32_t id,
            const char *name)
{
  struct nbd_be32 wire_id = nbd_be32(id);
  size_t len = strlen(name);

  nbd_option_head(hs, out, NBD_REP_META_CONTEXT,
                  (uint32_t)(sizeof wire_id + len));
  nbd_out_put(out, &wire_id, sizeof wire_id);
  nbd_out_put(out, name, len);
}

enum nbd_event
nbd_option_meta_answer(struct nbd_handshake *hs, struct nbd_out *out)
{
  bool set = hs->option == NBD_OPT_SET_META_CONTEXT;
  uint8_t matched = (uint8_t)hs->infos;

  if (set && matched) {
    assert(!hs->context_name && !hs->session.contexts);
    hs->context_name = strdup(hs->want.name);
    if (!hs->context_name)
      return nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
    hs->session.contexts = matched;
  }
  for (unsigned id = 1; id <= NBD_NCONTEXTS; id++)
    if (matched & NBD_CONTEXT_BIT(id))
      put_context(hs, out, set ? id : 0, nbd_context_name(id));
  return nbd_option_ack(hs, out);
}
