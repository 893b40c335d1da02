/* SPDX-License-Identifier: BSD-2-Clause */
/* options.c: the replies to options, and the options that need no export:
 * ABORT, LIST, STARTTLS, STRUCTURED_REPLY, EXTENDED_HEADERS.  Called by the
 * handshake's machine and by its owner's answers, in that owner's thread. */
#include "config.h"

#include "nbd/handshake/options.h"

#include <assert.h>
#include <string.h>

#include "nbd/text.h"

/* ----------------------------------------------------------------- replies */

static void
put_head(struct nbd_out *out, uint32_t option, uint32_t type, uint32_t len)
{
  const struct nbd_option_reply h = {
    .magic = nbd_be64(NBD_OPTION_REPLY_MAGIC),
    .option = nbd_be32(option),
    .type = nbd_be32(type),
    .len = nbd_be32(len),
  };

  nbd_out_put(out, &h, sizeof h);
}

void
nbd_option_head(struct nbd_handshake *hs, struct nbd_out *out, uint32_t type,
                uint32_t len)
{
  put_head(out, hs->option, type, len);
}

/* The final reply is in out, or nothing that is there is worth sending. */
static enum nbd_event
end_option(struct nbd_handshake *hs, const struct nbd_out *out)
{
  if (out->failed)
    return nbd_handshake_close(hs, NBD_CLOSE_NO_MEMORY);
  return nbd_handshake_next(hs);
}

enum nbd_event
nbd_option_ack(struct nbd_handshake *hs, struct nbd_out *out)
{
  nbd_option_head(hs, out, NBD_REP_ACK, 0);
  return end_option(hs, out);
}

static const char *
standard_text(uint32_t type)
{
  static const struct {
    uint32_t type;
    const char *text;
  } texts[] = {
    { NBD_REP_ERR_UNSUP, "this server does not know that option" },
    { NBD_REP_ERR_POLICY, "this server does not allow that" },
    { NBD_REP_ERR_INVALID, "the option's data is malformed" },
    { NBD_REP_ERR_PLATFORM, "this server was built without that" },
    { NBD_REP_ERR_TLS_REQD, "TLS is required here: send STARTTLS first" },
    { NBD_REP_ERR_UNKNOWN, "there is no such export" },
    { NBD_REP_ERR_SHUTDOWN, "the server is shutting down" },
    { NBD_REP_ERR_BLOCK_SIZE_REQD, "ask for the export's block sizes first" },
    { NBD_REP_ERR_TOO_BIG, "the option's data is too long" },
    { NBD_REP_ERR_EXT_HEADER_REQD, "extended headers are in use" },
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].type == type)
      return texts[i].text;
  return "";
}

enum nbd_event
nbd_option_error(struct nbd_handshake *hs, struct nbd_out *out, uint32_t type,
                 const char *text)
{
  char clean[NBD_TEXT_SIZE];
  size_t len =
    nbd_text_clean(clean, sizeof clean, text ? text : standard_text(type));

  assert(type & NBD_REP_ERR);
  /* Invariant 5 of handshake.c. */
  assert(type != NBD_REP_ERR_TLS_REQD ||
         (!hs->tls && hs->policy->tls != NBD_TLS_OFF));
  hs->nerrors++;
  hs->error = type;
  hs->error_option = hs->option;
  nbd_option_head(hs, out, type, (uint32_t)len);
  nbd_out_put(out, clean, len);
  return end_option(hs, out);
}

/* ------------------------------------------------------------------- ABORT */

enum nbd_event
nbd_option_abort(struct nbd_handshake *hs, struct nbd_out *out)
{
  nbd_option_ack(hs, out);
  return nbd_handshake_close(hs, NBD_CLOSE_ABORT);
}

/* -------------------------------------------------------------------- LIST */

enum nbd_event
nbd_option_list(struct nbd_handshake *hs, struct nbd_out *out)
{
  (void)out;
  return nbd_handshake_wait(hs, NBD_HS_LIST);
}

void
nbd_list_format(struct nbd_out *out, const char *name, const char *description)
{
  char clean[NBD_MAX_STRING + 1];
  const size_t name_len = strlen(name);
  const size_t len =
    nbd_text_clean(clean, sizeof clean, description ? description : "");
  const struct nbd_be32 wire_len = nbd_be32((uint32_t)name_len);

  if (!nbd_text_valid(name, name_len))
    return;
  put_head(out, NBD_OPT_LIST, NBD_REP_SERVER,
           (uint32_t)(sizeof wire_len + name_len + len));
  nbd_out_put(out, &wire_len, sizeof wire_len);
  nbd_out_put(out, name, name_len);
  nbd_out_put(out, clean, len);
}

bool
nbd_handshake_list_item(struct nbd_handshake *hs, struct nbd_out *out,
                        const char *name, const char *description)
{
  const size_t longest = sizeof(struct nbd_option_reply) +
                         sizeof(struct nbd_be32) + 2 * NBD_MAX_STRING;

  assert(hs->state == NBD_HS_LIST);
  if (!nbd_out_has_room(out, longest + NBD_OPTION_ROOM))
    return false;
  nbd_list_format(out, name, description);
  return true;
}

enum nbd_event
nbd_handshake_list_end(struct nbd_handshake *hs, struct nbd_out *out)
{
  assert(hs->state == NBD_HS_LIST);
  return nbd_option_ack(hs, out);
}

/* ---------------------------------------------------------------- STARTTLS */

enum nbd_event
nbd_option_starttls(struct nbd_handshake *hs, struct nbd_out *out)
{
  if (hs->tls)
    return nbd_option_error(hs, out, NBD_REP_ERR_INVALID,
                            "TLS is already in use");
  if (hs->policy->tls == NBD_TLS_OFF)
    return nbd_option_error(hs, out, NBD_REP_ERR_POLICY,
                            "TLS is not enabled on this server");
  nbd_option_head(hs, out, NBD_REP_ACK, 0);
  return nbd_handshake_wait(hs, NBD_HS_TLS);
}

/* -------------------------------------------------- headers of transmission */

enum nbd_event
nbd_option_structured(struct nbd_handshake *hs, struct nbd_out *out)
{
  if (hs->session.extended)
    return nbd_option_error(hs, out, NBD_REP_ERR_EXT_HEADER_REQD, NULL);
  hs->session.structured = true;
  return nbd_option_ack(hs, out);
}

enum nbd_event
nbd_option_extended(struct nbd_handshake *hs, struct nbd_out *out)
{
  hs->session.structured = true;
  hs->session.extended = true;
  return nbd_option_ack(hs, out);
}
