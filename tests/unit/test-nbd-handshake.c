/* SPDX-License-Identifier: BSD-2-Clause */
/* test-nbd-handshake.c: the option haggling, conversation by conversation. */
#include "config.h"

#include "nbd/handshake/handshake.h"
#include "unit/nbd-talk.h"
#include "unit/unit.h"

#define HELLO "S greeting\nC flags 3\n"
#define STRUCTURED "C opt STRUCTURED_REPLY\nS rep STRUCTURED_REPLY ACK\n"
#define EXTENDED "C opt EXTENDED_HEADERS\nS rep EXTENDED_HEADERS ACK\n"
#define GO_DISK "C opt GO u32:4 'disk' u16:0\n"
/* Transmission flags of the exports "disk" and "ro". */
#define FLAGS "u16:0x0d6d"
#define FLAGS_DF "u16:0x0ded"
#define FLAGS_PAYLOAD "u16:0x1ded"
#define FLAGS_RO "u16:0x050f"
#define SIZE "u64:0x100000"
#define WENT(flags) "S rep GO INFO u16:0 " SIZE " " flags "\nS rep GO ACK\n"
#define INFOED(flags) \
  "S rep INFO INFO u16:0 " SIZE " " flags "\nS rep INFO ACK\n"
#define LISTED                                   \
  "S rep LIST SERVER u32:4 'disk' 'a disk'\n"    \
  "S rep LIST SERVER u32:4 'flat'\n"             \
  "S rep LIST SERVER u32:2 'ro'\n"
#define LISTED_END                               \
  "S rep LIST SERVER u32:6 'coarse'\n"           \
  "S rep LIST ACK\n"
#define SET_ALLOCATION \
  "C opt SET_META_CONTEXT u32:4 'disk' u32:1 u32:15 'base:allocation'\n"
#define SET_DONE                                                  \
  "S rep SET_META_CONTEXT META_CONTEXT u32:1 'base:allocation'\n" \
  "S rep SET_META_CONTEXT ACK\n"
#define STARTTLS "C opt STARTTLS\nS rep STARTTLS ACK\nTLS\n"

static const struct nbd_policy policies[] = {
  [NBD_TLS_OFF] = {.tls = NBD_TLS_OFF,
                   .max_option = NBD_DEFAULT_MAX_OPTION,
                   .max_options = NBD_DEFAULT_MAX_OPTIONS,
                   .max_drain = NBD_DEFAULT_MAX_DRAIN},
  [NBD_TLS_ON] = {.tls = NBD_TLS_ON,
                  .max_option = NBD_DEFAULT_MAX_OPTION,
                  .max_options = NBD_DEFAULT_MAX_OPTIONS,
                  .max_drain = NBD_DEFAULT_MAX_DRAIN},
  [NBD_TLS_REQUIRE] = {.tls = NBD_TLS_REQUIRE,
                       .max_option = NBD_DEFAULT_MAX_OPTION,
                       .max_options = NBD_DEFAULT_MAX_OPTIONS,
                       .max_drain = NBD_DEFAULT_MAX_DRAIN},
};

struct row {
  const char *name, *script;
};

static void
play_rows(const struct row *rows, size_t n, enum nbd_tls tls)
{
  for (size_t i = 0; i < n; i++)
    nbd_talk(rows[i].name, &policies[tls], false, rows[i].script);
}

/* ------------------------------------------------------- flags and options */

static void
test_flags(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"an unknown flag", "S greeting\nC flags 0x80000003\n= close FLAGS"},
    {"a flag not offered", "S greeting\nC flags 4\n= close FLAGS"},
    {"silence", "S greeting\n= more"},
    {"garbage for an option", HELLO "C raw 16xA\n= close MAGIC"},
    {"a port scan: HTTP", "S greeting\nC raw 'GET / HTTP/1.1'\n= close FLAGS"},
    {"not fixed: EXPORT_NAME",
     "S greeting\nC flags 2\nC opt EXPORT_NAME 'disk'\n"
     "S raw " SIZE " " FLAGS "\n= ready"},
    {"not fixed: padded",
     "S greeting\nC flags 0\nC opt EXPORT_NAME 'disk'\n"
     "S raw " SIZE " " FLAGS " z124\n= ready"},
    {"not fixed: LIST", "S greeting\nC flags 2\nC opt LIST\n"
                        "= close NOT_FIXED"},
    {"not fixed: ABORT", "S greeting\nC flags 0\nC opt ABORT\n"
                         "= close NOT_FIXED"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

static void
test_options(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"unknown option is drained",
     HELLO "C opt 77 5000xq\nS rep 77 ERR_UNSUP\n"
     "C opt PEEK_EXPORT 'disk'\nS rep PEEK_EXPORT ERR_UNSUP\n"
     "C opt 0\nS rep 0 ERR_UNSUP\n"
     "C opt 0xffffffff\nS rep 0xffffffff ERR_UNSUP\n= more"},
    {"known option beyond the limit is drained",
     HELLO "C opt GO 40000xq\nS rep GO ERR_TOO_BIG\n"
     "C opt ABORT\nS rep ABORT ACK\n= close ABORT"},
    {"a hostile drain closes",
     HELLO "C opt 77 len=0xffffffff 'some'\n= close TOO_MUCH"},
    {"a drain of known options closes",
     HELLO "C opt LIST len=0xffffffff 'some'\n= close TOO_MUCH"},
    {"ABORT: ACK, data ignored",
     HELLO "C opt ABORT 'why not'\nS rep ABORT ACK\n= close ABORT"},
    {"ABORT: nothing is answered after it",
     HELLO "C opt ABORT\nC opt LIST\nS rep ABORT ACK\n= close ABORT"},
    {"LIST", HELLO "C opt LIST\n" LISTED LISTED_END "= more"},
    {"LIST with data",
     HELLO "C opt LIST 'x'\nS rep LIST ERR_INVALID\n"
     "C opt LIST\n" LISTED LISTED_END "= more"},
    {"STRUCTURED_REPLY with data",
     HELLO "C opt STRUCTURED_REPLY 'x'\nS rep STRUCTURED_REPLY ERR_INVALID\n"
     GO_DISK WENT(FLAGS) "= ready"},
    {"STRUCTURED_REPLY twice",
     HELLO STRUCTURED STRUCTURED GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"EXTENDED_HEADERS with data",
     HELLO "C opt EXTENDED_HEADERS 'x'\nS rep EXTENDED_HEADERS ERR_INVALID\n"
     GO_DISK WENT(FLAGS) "= ready"},
    {"EXTENDED_HEADERS alone, then STRUCTURED_REPLY",
     HELLO EXTENDED "C opt STRUCTURED_REPLY\n"
     "S rep STRUCTURED_REPLY ERR_EXT_HEADER_REQD\n"
     EXTENDED GO_DISK WENT(FLAGS_DF) "= ready structured extended"},
    {"EXTENDED_HEADERS after STRUCTURED_REPLY",
     HELLO STRUCTURED EXTENDED GO_DISK WENT(FLAGS_DF)
     "= ready structured extended"},
    {"EXTENDED_HEADERS forbids EXPORT_NAME",
     HELLO EXTENDED "C opt EXPORT_NAME 'disk'\n= close EXPORT_NAME"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

/* What is drained adds up. */
static void
test_drain(void **state)
{
  (void)state;
  struct nbd_policy policy = policies[NBD_TLS_OFF];
  policy.max_drain = 100;
  nbd_talk("up to the limit", &policy, false,
           HELLO "C opt 77 60xq\nS rep 77 ERR_UNSUP\n"
           "C opt 78 40xq\nS rep 78 ERR_UNSUP\n= more");
  nbd_talk("above the limit", &policy, false,
           HELLO "C opt 77 60xq\nS rep 77 ERR_UNSUP\n"
           "C opt 78 41xq\n= close TOO_MUCH");
}

/* ----------------------------------------------------------------- exports */

static void
test_export_name(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"there", HELLO "C opt EXPORT_NAME 'disk'\n"
              "S raw " SIZE " " FLAGS "\n= ready flags=0xd6d size=0x100000"},
    {"structured", HELLO STRUCTURED "C opt EXPORT_NAME 'disk'\n"
                   "S raw " SIZE " " FLAGS_DF "\n= ready structured"},
    {"contexts", HELLO STRUCTURED SET_ALLOCATION SET_DONE
                 "C opt EXPORT_NAME 'disk'\n"
                 "S raw " SIZE " " FLAGS_DF "\n= ready structured contexts=2"},
    {"the default export", HELLO "C opt EXPORT_NAME\n"
                           "S raw " SIZE " " FLAGS "\n= ready"},
    {"read-only", HELLO "C opt EXPORT_NAME 'ro'\n"
                  "S raw " SIZE " " FLAGS_RO "\n= ready"},
    {"with zeroes", "S greeting\nC flags 1\nC opt EXPORT_NAME 'disk'\n"
                    "S raw " SIZE " " FLAGS " z124\n= ready"},
    {"missing", HELLO "C opt EXPORT_NAME 'nope'\n= close EXPORT_NAME"},
    {"refused", HELLO "C opt EXPORT_NAME 'busy'\n= close EXPORT_NAME"},
    {"too long", HELLO "C opt EXPORT_NAME 4097xn\n= close EXPORT_NAME"},
    {"much too long", HELLO "C opt EXPORT_NAME len=0xffffffff 'x'\n"
                      "= close EXPORT_NAME"},
    {"a NUL", HELLO "C opt EXPORT_NAME 'disk' %00\n= close EXPORT_NAME"},
    {"not UTF-8", HELLO "C opt EXPORT_NAME %ff\n= close EXPORT_NAME"},
    {"needs block sizes",
     HELLO "C opt EXPORT_NAME 'coarse'\n= close EXPORT_NAME"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

static void
test_go(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"GO never pads", "S greeting\nC flags 1\n" GO_DISK WENT(FLAGS)
                      "= ready flags=0xd6d size=0x100000"},
    {"everything, unknown things and repetitions asked for",
     HELLO "C opt GO u32:5 '/disk' u16:7 u16:3 u16:2 u16:1 u16:0 u16:99 "
     "u16:0xffff u16:3\n"
     "S rep GO INFO u16:0 " SIZE " " FLAGS "\n"
     "S rep GO INFO u16:1 'disk'\n"
     "S rep GO INFO u16:2 'a disk'\n"
     "S rep GO INFO u16:3 u32:1 u32:4096 u32:0x2000000\n"
     "S rep GO ACK\n= ready"},
    {"very many things asked for",
     HELLO "C opt GO u32:4 'disk' u16:0x2020 16448xA\n" WENT(FLAGS)
     "= ready"},
    {"no description, none told",
     HELLO "C opt GO u32:4 'flat' u16:1 u16:2\n" WENT(FLAGS) "= ready"},
    {"the default export has a name",
     HELLO "C opt GO u32:0 u16:1 u16:1\n"
     "S rep GO INFO u16:0 " SIZE " " FLAGS "\n"
     "S rep GO INFO u16:1 'disk'\nS rep GO ACK\n= ready"},
    {"INFO, then the same GO",
     HELLO STRUCTURED "C opt INFO u32:4 'disk' u16:0\n" INFOED(FLAGS_DF)
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"INFO, then the same GO, with contexts",
     HELLO EXTENDED SET_ALLOCATION SET_DONE
     "C opt INFO u32:4 'disk' u16:0\n" INFOED(FLAGS_PAYLOAD)
     GO_DISK WENT(FLAGS_PAYLOAD) "= ready structured extended contexts=2"},
    {"INFO of one, GO of another",
     HELLO "C opt INFO u32:2 'ro' u16:0\n" INFOED(FLAGS_RO)
     GO_DISK WENT(FLAGS) "= ready flags=0xd6d"},
    {"unknown, then known",
     HELLO "C opt GO u32:4 'nope' u16:0\nS rep GO ERR_UNKNOWN\n"
     GO_DISK WENT(FLAGS) "= ready"},
    {"refused for a reason",
     HELLO "C opt GO u32:4 'busy' u16:0\nS rep GO ERR_POLICY\n= more"},
    {"a name as long as may be, unknown",
     HELLO "C opt GO u32:4096 4096xn u16:0\nS rep GO ERR_UNKNOWN\n= more"},
    {"a longer name",
     HELLO "C opt GO u32:4097 4097xn u16:0\nS rep GO ERR_INVALID\n= more"},
    {"a name of control characters, unknown",
     HELLO "C opt GO u32:3 %1b '[2' u16:0\nS rep GO ERR_UNKNOWN\n= more"},
    {"a NUL in the name",
     HELLO "C opt GO u32:5 'di' %00 'sk' u16:0\nS rep GO ERR_INVALID\n= more"},
    {"an overlong encoding in the name",
     HELLO "C opt GO u32:2 %c0 %af u16:0\nS rep GO ERR_INVALID\n= more"},
    {"a name of 0xffffffff",
     HELLO "C opt GO u32:0xffffffff 'disk' u16:0\nS rep GO ERR_INVALID\n"
     "= more"},
    {"a name that reaches into the requests",
     HELLO "C opt GO u32:5 'disk' u16:0\nS rep GO ERR_INVALID\n= more"},
    {"no payload", HELLO "C opt GO\nS rep GO ERR_INVALID\n= more"},
    {"two bytes, of INFO",
     HELLO "C opt INFO u16:0\nS rep INFO ERR_INVALID\n= more"},
    {"five bytes", HELLO "C opt GO z5\nS rep GO ERR_INVALID\n= more"},
    {"more requests promised than there",
     HELLO "C opt GO u32:4 'disk' u16:2 u16:3\nS rep GO ERR_INVALID\n= more"},
    {"fewer requests promised than there",
     HELLO "C opt GO u32:4 'disk' u16:1 u16:3 u16:1\nS rep GO ERR_INVALID\n"
     "= more"},
    {"an odd byte behind", HELLO "C opt GO u32:4 'disk' u16:0 z1\n"
                           "S rep GO ERR_INVALID\n= more"},
    {"constraints not asked for",
     HELLO "C opt GO u32:6 'coarse' u16:0\n"
     "S rep GO INFO u16:0 " SIZE " " FLAGS "\n"
     "S rep GO INFO u16:3 u32:4096 u32:4096 u32:0x2000000\n"
     "S rep GO ERR_BLOCK_SIZE_REQD\n= more"},
    {"constraints asked for",
     HELLO "C opt GO u32:6 'coarse' u16:1 u16:3\n"
     "S rep GO INFO u16:0 " SIZE " " FLAGS "\n"
     "S rep GO INFO u16:3 u32:4096 u32:4096 u32:0x2000000\n"
     "S rep GO ACK\n= ready"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

/* ---------------------------------------------------------------- contexts */

static void
test_list_contexts(void **state)
{
  (void)state;
#define LIST_META "C opt LIST_META_CONTEXT u32:4 'disk' "
#define CONTEXT "S rep LIST_META_CONTEXT META_CONTEXT u32:0 "
#define LIST_META_END "S rep LIST_META_CONTEXT ACK\n= more"
#define INVALID "S rep LIST_META_CONTEXT ERR_INVALID\n= more"
  static const struct row rows[] = {
    {"all of them", HELLO STRUCTURED LIST_META "u32:0\n"
                    CONTEXT "'base:allocation'\n"
                    CONTEXT "'qemu:allocation-depth'\n"
                    CONTEXT "'x-vhdkit:depth'\n" LIST_META_END},
    {"all of them, with extended headers",
     HELLO EXTENDED "C opt LIST_META_CONTEXT u32:4 'flat' u32:0\n"
     CONTEXT "'base:allocation'\n" CONTEXT "'qemu:allocation-depth'\n"
     CONTEXT "'x-vhdkit:depth'\n" LIST_META_END},
    {"namespaces", HELLO STRUCTURED LIST_META "u32:2 u32:5 'base:' "
                   "u32:9 'x-vhdkit:'\n" CONTEXT "'base:allocation'\n"
                   CONTEXT "'x-vhdkit:depth'\n" LIST_META_END},
    {"by name", HELLO STRUCTURED LIST_META "u32:1 "
                "u32:21 'qemu:allocation-depth'\n"
                CONTEXT "'qemu:allocation-depth'\n" LIST_META_END},
    {"unknown ones are ignored",
     HELLO STRUCTURED LIST_META "u32:6 u32:7 'x-nope:' u32:8 'base:all' "
     "u32:16 'base:allocation2' u32:4 'base' u32:0 "
     "u32:17 'qemu:dirty-bitmap'\n" LIST_META_END},
    {"selects nothing", HELLO STRUCTURED LIST_META "u32:0\n"
                        CONTEXT "'base:allocation'\n"
                        CONTEXT "'qemu:allocation-depth'\n"
                        CONTEXT "'x-vhdkit:depth'\n"
                        "S rep LIST_META_CONTEXT ACK\n"
                        GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"of an unknown export",
     HELLO STRUCTURED "C opt LIST_META_CONTEXT u32:4 'nope' u32:0\n"
     "S rep LIST_META_CONTEXT ERR_UNKNOWN\n= more"},
    {"simple replies", HELLO LIST_META "u32:0\n" INVALID},
    {"no payload", HELLO STRUCTURED "C opt LIST_META_CONTEXT\n" INVALID},
    {"no queries", HELLO STRUCTURED LIST_META "\n" INVALID},
    {"a byte behind", HELLO STRUCTURED LIST_META "u32:0 z1\n" INVALID},
    {"more queries promised", HELLO STRUCTURED LIST_META
     "u32:2 u32:5 'base:'\n" INVALID},
    {"4 G queries promised", HELLO STRUCTURED LIST_META
     "u32:0xffffffff u32:5 'base:'\n" INVALID},
    {"a query too long", HELLO STRUCTURED LIST_META
     "u32:1 u32:6 'base:'\n" INVALID},
    {"a query much too long", HELLO STRUCTURED LIST_META
     "u32:1 u32:3000 'base:'\n" INVALID},
    {"a name that is no UTF-8", HELLO STRUCTURED
     "C opt LIST_META_CONTEXT u32:2 %c3 'x' u32:0\n" INVALID},
    {"a name with a NUL", HELLO STRUCTURED
     "C opt LIST_META_CONTEXT u32:5 'disk' %00 u32:0\n" INVALID},
    {"a query of 4 GiB", HELLO STRUCTURED LIST_META
     "u32:1 u32:0xfffffffb 'base:'\n" INVALID},
    {"a query of 4097", HELLO STRUCTURED LIST_META
     "u32:1 u32:4097 4097xn\n" INVALID},
    {"a query that is no UTF-8", HELLO STRUCTURED LIST_META
     "u32:1 u32:1 %80\n" INVALID},
    {"a name of 4 GiB", HELLO STRUCTURED
     "C opt LIST_META_CONTEXT u32:0xffffffff 'disk' u32:0\n" INVALID},
    {"a long list of queries", HELLO STRUCTURED LIST_META
     "u32:8 u32:4096 4096xn u32:4096 4096xn u32:4096 4096xn "
     "u32:4096 4096xn u32:4096 4096xn u32:4096 4096xn u32:4096 4096xn "
     "u32:5 'base:'\n" CONTEXT "'base:allocation'\n" LIST_META_END},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

static void
test_set_contexts(void **state)
{
  (void)state;
#define SET_META "C opt SET_META_CONTEXT u32:4 'disk' "
#define SET_ID(id, name) \
  "S rep SET_META_CONTEXT META_CONTEXT u32:" #id " '" name "'\n"
#define SET_ACK "S rep SET_META_CONTEXT ACK\n"
#define SET_BAD "S rep SET_META_CONTEXT ERR_INVALID\n"
  static const struct row rows[] = {
    {"three, twice each, in any order",
     HELLO STRUCTURED SET_META "u32:6 u32:14 'x-vhdkit:depth' "
     "u32:15 'base:allocation' u32:21 'qemu:allocation-depth' "
     "u32:15 'base:allocation' u32:14 'x-vhdkit:depth' "
     "u32:21 'qemu:allocation-depth'\n"
     SET_ID(1, "base:allocation") SET_ID(2, "qemu:allocation-depth")
     SET_ID(3, "x-vhdkit:depth") SET_ACK
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=14"},
    {"needs structured replies",
     HELLO SET_ALLOCATION SET_BAD GO_DISK WENT(FLAGS) "= ready"},
    {"no queries select none",
     HELLO STRUCTURED SET_META "u32:0\n" SET_ACK
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"a namespace selects none",
     HELLO STRUCTURED SET_META "u32:3 u32:5 'base:' u32:5 'qemu:' "
     "u32:9 'x-vhdkit:'\n" SET_ACK
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"unknown ones are ignored",
     HELLO STRUCTURED SET_META "u32:3 u32:6 'x-a:bc' u32:9 'base:nope' "
     "u32:15 'base:allocation'\n" SET_DONE
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=2"},
    {"a later call replaces",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     SET_META "u32:1 u32:14 'x-vhdkit:depth'\n"
     SET_ID(3, "x-vhdkit:depth") SET_ACK
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=8"},
    {"a later call without queries clears",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE SET_META "u32:0\n" SET_ACK
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"a malformed call clears",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE SET_META "u32:1\n" SET_BAD
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"a too long call clears",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt SET_META_CONTEXT 40000xn\nS rep SET_META_CONTEXT ERR_TOO_BIG\n"
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"a refused call clears",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt SET_META_CONTEXT u32:4 'nope' u32:1 u32:15 'base:allocation'\n"
     "S rep SET_META_CONTEXT ERR_UNKNOWN\n"
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"over-long with valid inner data",
     HELLO STRUCTURED SET_META "u32:1 u32:15 'base:allocation' z1\n" SET_BAD
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"GO of another export voids",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt GO u32:4 'flat' u16:0\n" WENT(FLAGS_DF) "= ready structured"},
    {"GO by another name voids",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt GO u32:5 '/disk' u16:0\n" WENT(FLAGS_DF) "= ready structured"},
    {"GO by a longer name voids",
     HELLO STRUCTURED "C opt SET_META_CONTEXT u32:0 u32:1 "
     "u32:15 'base:allocation'\n" SET_DONE
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"an INFO of another one between does not",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt INFO u32:4 'flat' u16:0\n" INFOED(FLAGS_DF)
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=2"},
    {"a failed GO between does not",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt GO u32:4 'nope' u16:0\nS rep GO ERR_UNKNOWN\n"
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=2"},
    {"a LIST_META_CONTEXT between does not",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE
     "C opt LIST_META_CONTEXT u32:4 'disk' u32:1 u32:9 'x-vhdkit:'\n"
     "S rep LIST_META_CONTEXT META_CONTEXT u32:0 'x-vhdkit:depth'\n"
     "S rep LIST_META_CONTEXT ACK\n"
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=2"},
    {"of the default export",
     HELLO STRUCTURED "C opt SET_META_CONTEXT u32:0 u32:1 "
     "u32:15 'base:allocation'\n" SET_DONE
     "C opt GO u32:0 u16:0\n" WENT(FLAGS_DF)
     "= ready structured contexts=2"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

/* --------------------------------------------------------------------- TLS */

static void
test_tls_off(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"STARTTLS", HELLO "C opt STARTTLS\nS rep STARTTLS ERR_POLICY\n"
                 GO_DISK WENT(FLAGS) "= ready"},
    {"a TLS-only export is no TLS_REQD",
     HELLO "C opt GO u32:6 'secret' u16:0\nS rep GO ERR_UNKNOWN\n= more"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

static void
test_tls_on(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"not fixed", "S greeting\nC flags 0\nC opt STARTTLS\n"
                  "= close NOT_FIXED"},
    {"a TLS-only export, by EXPORT_NAME",
     HELLO "C opt EXPORT_NAME 'secret'\n= close EXPORT_NAME"},
    {"shutdown errors options",
     HELLO STRUCTURED "SHUTDOWN\n"
     GO_DISK "S rep GO ERR_SHUTDOWN\n"
     "C opt LIST\nS rep LIST ERR_SHUTDOWN\n"
     "C opt 77 'xyz'\nS rep 77 ERR_SHUTDOWN\n"
     "C opt STARTTLS\nS rep STARTTLS ERR_SHUTDOWN\n"
     "C opt ABORT\nS rep ABORT ACK\n= close ABORT"},
    {"STARTTLS forgets everything",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE STARTTLS
     GO_DISK WENT(FLAGS) "= ready"},
    {"and extended headers",
     HELLO EXTENDED SET_ALLOCATION SET_DONE STARTTLS
     GO_DISK WENT(FLAGS) "= ready"},
    {"contexts do not come back with structured replies",
     HELLO STRUCTURED SET_ALLOCATION SET_DONE STARTTLS STRUCTURED
     GO_DISK WENT(FLAGS_DF) "= ready structured"},
    {"but remembers NO_ZEROES",
     HELLO STARTTLS "C opt EXPORT_NAME 'disk'\nS raw " SIZE " " FLAGS
     "\n= ready"},
    {"an option behind STARTTLS",
     HELLO "C opt STARTTLS\nC opt STRUCTURED_REPLY\nS rep STARTTLS ACK\n"
     "= close INJECTION"},
    {"a byte behind STARTTLS",
     HELLO "C opt STARTTLS\nC raw %00\nS rep STARTTLS ACK\n"
     "= close INJECTION"},
    {"STARTTLS with data",
     HELLO "C opt STARTTLS 'x'\nS rep STARTTLS ERR_INVALID\n"
     STARTTLS GO_DISK WENT(FLAGS) "= ready"},
    {"a second STARTTLS",
     HELLO STARTTLS "C opt STARTTLS\nS rep STARTTLS ERR_INVALID\n"
     GO_DISK WENT(FLAGS) "= ready"},
    {"a TLS-only export is hidden",
     HELLO "C opt LIST\n" LISTED LISTED_END STARTTLS
     "C opt LIST\n" LISTED "S rep LIST SERVER u32:6 'secret'\n" LISTED_END
     "= more"},
    {"a TLS-only export asks for TLS",
     HELLO "C opt INFO u32:6 'secret' u16:0\nS rep INFO ERR_TLS_REQD\n"
     "C opt GO u32:6 'secret' u16:0\nS rep GO ERR_TLS_REQD\n"
     STARTTLS "C opt GO u32:6 'secret' u16:0\n" WENT(FLAGS) "= ready"},
    {"only INFO and GO may do so",
     HELLO STRUCTURED
     "C opt LIST_META_CONTEXT u32:6 'secret' u32:0\n"
     "S rep LIST_META_CONTEXT ERR_UNKNOWN\n"
     "C opt SET_META_CONTEXT u32:6 'secret' u32:1 u32:15 'base:allocation'\n"
     "S rep SET_META_CONTEXT ERR_UNKNOWN\n= more"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_ON);
  nbd_talk("TLS from the start", &policies[NBD_TLS_ON], true,
           HELLO "C opt STARTTLS\nS rep STARTTLS ERR_INVALID\n"
           "C opt GO u32:6 'secret' u16:0\n" WENT(FLAGS) "= ready");
}

static void
test_tls_required(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"EXPORT_NAME", HELLO "C opt EXPORT_NAME 'disk'\n= close EXPORT_NAME"},
    {"EXPORT_NAME, not fixed",
     "S greeting\nC flags 0\nC opt EXPORT_NAME 'disk'\n= close EXPORT_NAME"},
    {"every option",
     HELLO "C opt LIST\nS rep LIST ERR_TLS_REQD\n"
     "C opt LIST 'data'\nS rep LIST ERR_TLS_REQD\n"
     GO_DISK "S rep GO ERR_TLS_REQD\n"
     "C opt INFO 'z'\nS rep INFO ERR_TLS_REQD\n"
     "C opt STRUCTURED_REPLY\nS rep STRUCTURED_REPLY ERR_TLS_REQD\n"
     "C opt EXTENDED_HEADERS\nS rep EXTENDED_HEADERS ERR_TLS_REQD\n"
     "C opt LIST_META_CONTEXT u32:0 u32:0\n"
     "S rep LIST_META_CONTEXT ERR_TLS_REQD\n"
     SET_ALLOCATION "S rep SET_META_CONTEXT ERR_TLS_REQD\n"
     "C opt 77 9000xd\nS rep 77 ERR_TLS_REQD\n"
     "C opt PEEK_EXPORT\nS rep PEEK_EXPORT ERR_TLS_REQD\n"
     "C opt GO 40000xd\nS rep GO ERR_TLS_REQD\n= more"},
    {"but ABORT", HELLO "C opt ABORT 'x'\nS rep ABORT ACK\n= close ABORT"},
    {"and STARTTLS; then never TLS_REQD",
     HELLO STARTTLS "C opt LIST 'x'\nS rep LIST ERR_INVALID\n"
     "C opt 77\nS rep 77 ERR_UNSUP\n"
     "C opt STARTTLS\nS rep STARTTLS ERR_INVALID\n"
     STRUCTURED SET_ALLOCATION SET_DONE
     GO_DISK WENT(FLAGS_DF) "= ready structured contexts=2"},
    {"what was refused before has no effect after",
     HELLO "C opt STRUCTURED_REPLY\nS rep STRUCTURED_REPLY ERR_TLS_REQD\n"
     STARTTLS GO_DISK WENT(FLAGS) "= ready"},
    {"STARTTLS with data",
     HELLO "C opt STARTTLS 'x'\nS rep STARTTLS ERR_INVALID\n"
     GO_DISK "S rep GO ERR_TLS_REQD\n= more"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_REQUIRE);
}

/* ---------------------------------------------------------------- shutdown */

static void
test_shutdown(void **state)
{
  (void)state;
  static const struct row rows[] = {
    {"closes on EXPORT_NAME",
     HELLO "SHUTDOWN\nC opt EXPORT_NAME 'disk'\n= close EXPORT_NAME"},
    {"still greets", "S greeting\nSHUTDOWN\nC flags 3\nC opt LIST\n"
                     "S rep LIST ERR_SHUTDOWN\n= more"},
  };
  play_rows(rows, ARRAY_SIZE(rows), NBD_TLS_OFF);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_flags),
    cmocka_unit_test(test_options),
    cmocka_unit_test(test_drain),
    cmocka_unit_test(test_export_name),
    cmocka_unit_test(test_go),
    cmocka_unit_test(test_list_contexts),
    cmocka_unit_test(test_set_contexts),
    cmocka_unit_test(test_tls_off),
    cmocka_unit_test(test_tls_on),
    cmocka_unit_test(test_tls_required),
    cmocka_unit_test(test_shutdown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
