/* SPDX-License-Identifier: BSD-2-Clause */
/* options_export.c: the options that choose an export: EXPORT_NAME, INFO and
 * GO, and their owner's answers.  See handshake.h. */
#include "config.h"

#include "nbd/handshake/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "nbd/text.h"

/* ------------------------------------------------------------ what is asked */

enum nbd_event
nbd_option_export_name(struct nbd_handshake *hs, struct nbd_out *out)
{
  (void)out;
  if (hs->session.extended || !nbd_text_valid(hs->payload, hs->option_len))
    return nbd_handshake_close(hs, NBD_CLOSE_EXPORT_NAME);
  hs->want.purpose = NBD_WANT_EXPORT_NAME;
  hs->want.name = (const char *)hs->payload;
  return nbd_handshake_wait(hs, NBD_HS_EXPORT);
}

/* Payload: be32 name length, name, be16 n, n times be16 information. */
enum nbd_event
nbd_option_info_go(struct nbd_handshake *hs, struct nbd_out *out)
{
  unsigned char *p = hs->payload;
  struct nbd_be32 wire_len;
  struct nbd_be16 wire_n, wire_info;
  uint32_t fixed = sizeof wire_len + sizeof wire_n;

  if (hs->option_len < fixed)
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "the option's data is too short");
  memcpy(&wire_len, p, sizeof wire_len);
  uint32_t name_len = nbd_get32(wire_len);
  if (name_len > hs->option_len - fixed)
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "the name is longer than the option's data");
  unsigned char *name = p + sizeof wire_len;
  memcpy(&wire_n, name + name_len, sizeof wire_n);
  uint32_t n = nbd_get16(wire_n);
  if (hs->option_len - fixed - name_len != n * sizeof wire_info)
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "the option's data has another length than its "
                            "content");
  if (!nbd_text_valid(name, name_len))
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "the name is too long or is not valid UTF-8");

  hs->infos = 0;
  for (uint32_t i = 0; i < n; i++) {
    memcpy(&wire_info, name + name_len + 2 + 2 * i, sizeof wire_info);
    uint16_t info = nbd_get16(wire_info);
    if (info <= NBD_INFO_BLOCK_SIZE) /* the unknown are ignored */
      hs->infos |= (uint16_t)(1u << info);
  }
  name[name_len] = '\0'; /* over the count, which is no longer needed */
  hs->want.purpose = hs->option == NBD_OPT_GO ? NBD_WANT_GO : NBD_WANT_INFO;
  hs->want.name = (const char *)name;
  return nbd_handshake_wait(hs, NBD_HS_EXPORT);
}

/* --------------------------------------------------- what an export becomes */

static bool
is_power_of_two(uint32_t v)
{
  return v && !(v & (v - 1));
}

static struct nbd_export_info
with_defaults(const struct nbd_export_info *info)
{
  struct nbd_export_info full = *info;

  if (!full.min_block && !full.preferred_block && !full.max_payload) {
    full.min_block = 1;
    full.preferred_block = 4096;
    full.max_payload = NBD_LEGAL_PAYLOAD;
  }
  if (!full.description)
    full.description = "";
  assert(is_power_of_two(full.min_block) && full.min_block <= 65536);
  assert(is_power_of_two(full.preferred_block) &&
         full.preferred_block >= full.min_block &&
         full.preferred_block >= 512);
  assert(full.max_payload >= full.preferred_block &&
         full.max_payload % full.min_block == 0 &&
         full.max_payload <= NBD_MAX_PAYLOAD);
  return full;
}

/* The contexts that hold if this export is chosen: SET_META_CONTEXT is void
 * for another name than it was sent with. */
static uint8_t
effective_contexts(const struct nbd_handshake *hs)
{
  if (!hs->session.structured || !hs->context_name ||
      strcmp(hs->context_name, hs->want.name) != 0)
    return 0;
  return hs->session.contexts;
}

static uint16_t
effective_flags(const struct nbd_session *s, uint16_t capable)
{
  const uint16_t negotiated = NBD_FLAG_SEND_DF | NBD_FLAG_SEND_RESIZE |
                              NBD_FLAG_BLOCK_STATUS_PAYLOAD;
  const uint16_t changes = NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;
  uint16_t flags = (capable & (uint16_t)~negotiated) | NBD_FLAG_HAS_FLAGS;

  if (flags & NBD_FLAG_READ_ONLY)
    flags &= (uint16_t)~changes;
  if (!(flags & NBD_FLAG_SEND_WRITE_ZEROES))
    flags &= (uint16_t)~NBD_FLAG_SEND_FAST_ZERO;
  if (s->structured)
    flags |= NBD_FLAG_SEND_DF;
  if (s->extended && s->contexts)
    flags |= NBD_FLAG_BLOCK_STATUS_PAYLOAD;
  return flags;
}

static struct nbd_session
make_session(const struct nbd_handshake *hs,
             const struct nbd_export_info *info)
{
  struct nbd_session s = hs->session;

  s.size = info->size;
  s.min_block = info->min_block;
  s.max_payload = info->max_payload > NBD_LEGAL_PAYLOAD ? info->max_payload
                                                        : NBD_LEGAL_PAYLOAD;
  s.contexts = effective_contexts(hs);
  s.flags = effective_flags(&s, info->flags);
  s.shutdown = false;
  return s;
}

/* Would a client that knows nothing of block sizes come to grief? */
static bool
is_constrained(const struct nbd_export_info *info)
{
  return info->min_block > 1 || info->max_payload < NBD_LEGAL_PAYLOAD;
}

/* ------------------------------------------------------------------ answers */

static enum nbd_event
answer_export_name(struct nbd_handshake *hs, const struct nbd_session *s,
                   const struct nbd_export_info *info, struct nbd_out *out)
{
  static const unsigned char zeros[NBD_EXPORT_NAME_PADDING];
  struct nbd_export_name_reply r = {
    .size = nbd_be64(s->size),
    .flags = nbd_be16(s->flags),
  };

  if (is_constrained(info))
    return nbd_handshake_close(hs, NBD_CLOSE_EXPORT_NAME);
  nbd_out_put(out, &r, sizeof r);
  if (!(hs->client_flags & NBD_FLAG_C_NO_ZEROES))
    nbd_out_put(out, zeros, sizeof zeros);
  if (out->failed)
    return nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
  hs->session = *s;
  return nbd_handshake_ready(hs);
}

static void
put_info_text(struct nbd_handshake *hs, struct nbd_out *out, uint16_t type,
              const char *text)
{
  char clean[NBD_MAX_STRING + 1];
  size_t len = nbd_text_clean(clean, sizeof clean, text);
  struct nbd_be16 wire_type = nbd_be16(type);

  nbd_option_head(hs, out, NBD_REP_INFO, (uint32_t)(sizeof wire_type + len));
  nbd_out_put(out, &wire_type, sizeof wire_type);
  nbd_out_put(out, clean, len);
}

static void
put_info_block_size(struct nbd_handshake *hs, struct nbd_out *out,
                    const struct nbd_export_info *info)
{
  struct nbd_info_block_size b = {
    .type = nbd_be16(NBD_INFO_BLOCK_SIZE),
    .min = nbd_be32(info->min_block),
    .preferred = nbd_be32(info->preferred_block),
    .max = nbd_be32(info->max_payload),
  };

  nbd_option_head(hs, out, NBD_REP_INFO, sizeof b);
  nbd_out_put(out, &b, sizeof b);
}

static bool
asked_for(const struct nbd_handshake *hs, enum nbd_info info)
{
  return hs->infos & (1u << info);
}

static enum nbd_event
answer_info_go(struct nbd_handshake *hs, const struct nbd_session *s,
               const struct nbd_export_info *info, struct nbd_out *out)
{
  struct nbd_info_export e = {
    .type = nbd_be16(NBD_INFO_EXPORT),
    .size = nbd_be64(s->size),
    .flags = nbd_be16(s->flags),
  };

  nbd_option_head(hs, out, NBD_REP_INFO, sizeof e);
  nbd_out_put(out, &e, sizeof e);
  if (asked_for(hs, NBD_INFO_NAME))
    put_info_text(hs, out, NBD_INFO_NAME, info->name);
  if (asked_for(hs, NBD_INFO_DESCRIPTION) && *info->description)
    put_info_text(hs, out, NBD_INFO_DESCRIPTION, info->description);
  if (asked_for(hs, NBD_INFO_BLOCK_SIZE) || is_constrained(info))
    put_info_block_size(hs, out, info);
  if (is_constrained(info) && !asked_for(hs, NBD_INFO_BLOCK_SIZE))
    return nbd_option_error(hs, out, NBD_REP_ERR_BLOCK_SIZE_REQD, NULL);

  bool go = hs->want.purpose == NBD_WANT_GO;
  enum nbd_event event = nbd_option_ack(hs, out);
  if (!go || event != NBD_EVENT_MORE)
    return event;
  hs->session = *s;
  return nbd_handshake_ready(hs);
}

enum nbd_event
nbd_handshake_export(struct nbd_handshake *hs,
                     const struct nbd_export_info *info, struct nbd_out *out)
{
  assert(hs->state == NBD_HS_EXPORT);
  if (info->tls_only && !hs->tls)
    return nbd_handshake_refuse(hs, NBD_REP_ERR_TLS_REQD, NULL, out);
  if (hs->want.purpose == NBD_WANT_META)
    return nbd_option_meta_answer(hs, out);

  struct nbd_export_info full = with_defaults(info);
  struct nbd_session s = make_session(hs, &full);
  if (hs->want.purpose == NBD_WANT_EXPORT_NAME)
    return answer_export_name(hs, &s, &full, out);
  return answer_info_go(hs, &s, &full, out);
}

/* ---------------------------------------------------------------------- no */

/* TLS_REQD may be said only of an export (there or not), to INFO and GO, and
 * only where TLS can still be had. */
static bool
may_ask_for_tls(const struct nbd_handshake *hs)
{
  return hs->state == NBD_HS_EXPORT && !hs->tls &&
         hs->policy->tls != NBD_TLS_OFF &&
         (hs->want.purpose == NBD_WANT_INFO ||
          hs->want.purpose == NBD_WANT_GO);
}

enum nbd_event
nbd_handshake_refuse(struct nbd_handshake *hs, uint32_t why, const char *text,
                     struct nbd_out *out)
{
  char unknown[NBD_TEXT_SIZE], echo[NBD_ECHO_MAX + 4];
  bool of_export = hs->state == NBD_HS_EXPORT;

  assert(of_export || hs->state == NBD_HS_LIST);
  if (of_export && hs->want.purpose == NBD_WANT_EXPORT_NAME)
    return nbd_handshake_close(hs, NBD_CLOSE_EXPORT_NAME);
  if (why == NBD_REP_ERR_TLS_REQD) {
    if (!text)
      text = "there is no export of that name without TLS";
    if (!may_ask_for_tls(hs))
      why = of_export ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_POLICY;
  }
  if (why == NBD_REP_ERR_UNKNOWN && of_export && !text) {
    snprintf(unknown, sizeof unknown, "there is no export named '%s'",
             nbd_text_echo(echo, hs->want.name));
    text = unknown;
  }
  return nbd_option_error(hs, out, why, text);
}
