/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs_stream.c: see ntfs.h.  A file whose attributes do not fit into one
 * record has a list of them, which says in what records the others are. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inside/ntfs.h"

#define LIST_MOST (256U << 10) /* which Windows keeps, too */
#define LIST_ENTRY 26U
#define FILE_MASK 0xffffffffffffULL

/* What is looked for. */
struct wanted {
  uint64_t file;
  uint32_t type;
  const char *name;
};

void
ntfs_close_stream(struct ntfs_stream *stream)
{
  free(stream->run);
  free(stream->resident);
  *stream = (struct ntfs_stream){ .n = 0 };
}

/* --------------------------------------------------------------------- runs */

static uint64_t
end_of(const struct ntfs_stream *stream)
{
  if (stream->n == 0)
    return 0;
  const struct ntfs_run *last = &stream->run[stream->n - 1];
  return last->vcn + last->len;
}

static int
add_run(const struct ntfs *fs, struct ntfs_stream *stream, uint64_t lcn,
        uint64_t len)
{
  const uint64_t vcn = end_of(stream);

  if (len == 0 || lcn >= fs->clusters || len > fs->clusters - lcn ||
      vcn > fs->clusters || stream->n == NTFS_RUNS_MOST)
    return -EUCLEAN;
  if (stream->n == stream->room) {
    const size_t room = stream->room > 0 ? 2 * stream->room : 16;
    struct ntfs_run *run = reallocarray(stream->run, room, sizeof *run);
    if (run == NULL)
      return -ENOMEM;
    stream->run = run;
    stream->room = room;
  }
  stream->run[stream->n++] = (struct ntfs_run){ vcn, lcn, len };
  return 0;
}

/* A number of n bytes, whose sign is its highest bit. */
static int64_t
signed_of(const uint8_t *p, unsigned n)
{
  uint64_t x = (p[n - 1] & 0x80) != 0 ? UINT64_MAX : 0;

  while (n > 0)
    x = x << 8 | p[--n];
  return (int64_t)x;
}

/* Pairs of a length and of how far from the last ones these clusters lie. */
static int
add_runs(const struct ntfs *fs, struct ntfs_stream *stream,
         const struct ntfs_attr *attr)
{
  const uint8_t *p = attr->value, *end = p + attr->value_len;
  uint64_t lcn = 0;
  int r = 0;

  while (r == 0 && p < end && *p != 0) {
    const unsigned nlen = *p & 15, noff = *p >> 4;
    p++;
    /* One without a place is a hole, which nothing here has. */
    if (nlen < 1 || nlen > 8 || noff < 1 || noff > 8 ||
        nlen + noff > (size_t)(end - p))
      return -EUCLEAN;
    const int64_t len = signed_of(p, nlen);
    lcn += (uint64_t)signed_of(p + nlen, noff);
    r = len > 0 ? add_run(fs, stream, lcn, (uint64_t)len) : -EUCLEAN;
    p += nlen + noff;
  }
  return r;
}

/* A part of the attribute that lies in clusters. */
static int
add_part(const struct ntfs *fs, struct ntfs_stream *stream,
         const struct ntfs_attr *attr)
{
  const uint64_t lowest = le64(attr->at + 16), highest = le64(attr->at + 24);
  const uint16_t flags = le16(attr->at + 12);

  if (flags != 0 || lowest != end_of(stream) || stream->resident != NULL)
    return -EUCLEAN; /* compressed, encrypted, with holes; or one is missing */
  if (lowest == 0) {
    const uint64_t size = le64(attr->at + 48), written = le64(attr->at + 56);
    stream->size = size < written ? size : written;
  }
  int r = add_runs(fs, stream, attr);
  return r == 0 && end_of(stream) != highest + 1 ? -EUCLEAN : r;
}

static int
add_attr(const struct ntfs *fs, struct ntfs_stream *stream,
         const struct ntfs_attr *attr)
{
  if (attr->nonresident)
    return add_part(fs, stream, attr);
  if (stream->n > 0 || stream->resident != NULL)
    return -EUCLEAN;
  stream->resident = malloc((size_t)attr->value_len + 1);
  if (stream->resident == NULL)
    return -ENOMEM;
  memcpy(stream->resident, attr->value, attr->value_len);
  stream->size = attr->value_len;
  return 0;
}

/* ------------------------------------------------------------------ reading */

static const struct ntfs_run *
run_at(const struct ntfs_stream *stream, uint64_t vcn)
{
  size_t from = 0, to = stream->n;

  while (to - from > 1) {
    const size_t mid = from + (to - from) / 2;
    if (stream->run[mid].vcn <= vcn)
      from = mid;
    else
      to = mid;
  }
  return from < to && vcn - stream->run[from].vcn < stream->run[from].len
           ? &stream->run[from]
           : NULL;
}

int
ntfs_read_stream(struct usage *usage, const struct ntfs_stream *stream,
                 void *buf, size_t len, uint64_t off)
{
  const struct ntfs *fs = usage->fs;
  uint8_t *to = buf;
  int r = 0;

  if (off > stream->size || len > stream->size - off)
    return -EUCLEAN;
  if (stream->resident != NULL) {
    memcpy(buf, stream->resident + off, len);
    return 0;
  }
  while (r == 0 && len > 0) {
    const struct ntfs_run *run = run_at(stream, off / fs->cluster);
    if (run == NULL)
      return -EUCLEAN;
    const uint64_t in = off - run->vcn * fs->cluster;
    const uint64_t left = run->len * fs->cluster - in;
    const size_t n = len < left ? len : (size_t)left;
    r = source_read(&usage->source, to, n, run->lcn * fs->cluster + in);
    to += n;
    off += n;
    len -= n;
  }
  return r;
}

/* ------------------------------------------------------------------ opening */

/* The part of the attribute in this record that is the next.  1, 0 where it has
 * none, or -errno. */
static int
add_from(const struct ntfs *fs, const uint8_t *record, const struct wanted *w,
         struct ntfs_stream *stream)
{
  struct ntfs_attr attr = { .at = NULL };
  int r;

  while ((r = ntfs_next_attr(record, fs->record, &attr)) == 1) {
    if (attr.type != w->type ||
        !ntfs_has_name(attr.name, attr.name_len, w->name) ||
        (attr.nonresident && le64(attr.at + 16) != end_of(stream)))
      continue;
    r = add_attr(fs, stream, &attr);
    return r < 0 ? r : 1;
  }
  return r;
}

/* Reads the record that an entry of the list names. */
static int
add_entry(struct usage *usage, const struct wanted *w, const uint8_t *entry,
          uint8_t *record, struct ntfs_stream *stream)
{
  const struct ntfs *fs = usage->fs;
  const uint64_t number = le64(entry + 16) & FILE_MASK;
  int r;

  /* The part in the MFT's own first record leads to the others. */
  if (stream == &fs->mft && le64(entry + 8) == 0)
    return number == w->file ? 0 : -EUCLEAN;
  r = ntfs_read_record(usage, number, number == w->file, record);
  if (r == 0 && number != w->file &&
      (le64(record + 32) & FILE_MASK) != w->file)
    r = -EUCLEAN;
  if (r == 0)
    r = add_from(fs, record, w, stream);
  return r < 0 ? r : r == 1 ? 0 : -EUCLEAN;
}

static int
add_entries(struct usage *usage, const struct wanted *w, const uint8_t *list,
            uint32_t size, uint8_t *record, struct ntfs_stream *stream)
{
  uint32_t at = 0, len;
  bool found = false;
  int r = 0;

  for (; r == 0 && at < size; at += len) {
    const uint8_t *entry = list + at;
    if (size - at < LIST_ENTRY)
      return -EUCLEAN;
    len = le16(entry + 4);
    if (len < LIST_ENTRY || len % 8 != 0 || len > size - at ||
        entry[7] + 2U * entry[6] > len)
      return -EUCLEAN;
    if (le32(entry) != w->type ||
        !ntfs_has_name(entry + entry[7], entry[6], w->name))
      continue;
    found = true;
    r = add_entry(usage, w, entry, record, stream);
  }
  return r < 0 ? r : found;
}

/* `attr` is the list; buf has room for a record. */
static int
add_by_list(struct usage *usage, const struct wanted *w,
            const struct ntfs_attr *attr, uint8_t *buf,
            struct ntfs_stream *stream)
{
  const struct ntfs *fs = usage->fs;
  struct ntfs_stream list = { .n = 0 };
  uint8_t *bytes = NULL;
  int r = add_attr(fs, &list, attr);

  if (r == 0 && list.size > LIST_MOST)
    r = -EUCLEAN;
  if (r == 0 && (bytes = malloc((size_t)list.size + 1)) == NULL)
    r = -ENOMEM;
  if (r == 0)
    r = ntfs_read_stream(usage, &list, bytes, (size_t)list.size, 0);
  if (r == 0)
    r = add_entries(usage, w, bytes, (uint32_t)list.size, buf, stream);
  free(bytes);
  ntfs_close_stream(&list);
  return r;
}

/* `base` is the file's first record; the stream may have what that holds of it.
 * What has no clusters cannot be read. */
static int
open_from(struct usage *usage, const struct wanted *w, const uint8_t *base,
          uint8_t *buf, struct ntfs_stream *stream)
{
  const struct ntfs *fs = usage->fs;
  struct ntfs_attr attr;
  int r = ntfs_find_attr(base, fs->record, NTFS_LIST, "", &attr);

  if (r == 0)
    r = stream->n > 0 ? 1 : add_from(fs, base, w, stream);
  else if (r == 1)
    r = add_by_list(usage, w, &attr, buf, stream);
  if (r == 1 && stream->resident == NULL &&
      stream->size > end_of(stream) * fs->cluster)
    r = -EUCLEAN;
  return r;
}

int
ntfs_open_stream(struct usage *usage, uint64_t file, uint32_t type,
                 const char *name, struct ntfs_stream *stream)
{
  const struct ntfs *fs = usage->fs;
  const struct wanted w = { file, type, name };
  uint8_t *buf = malloc(2 * (size_t)fs->record);

  *stream = (struct ntfs_stream){ .n = 0 };
  if (buf == NULL)
    return -ENOMEM;
  int r = ntfs_read_record(usage, file, true, buf);
  if (r == 0)
    r = open_from(usage, &w, buf, buf + fs->record, stream);
  free(buf);
  return r;
}

int
ntfs_open_mft(struct usage *usage)
{
  struct ntfs *fs = usage->fs;
  const struct wanted w = { NTFS_MFT, NTFS_DATA, "" };
  uint8_t *buf = malloc(2 * (size_t)fs->record);

  if (buf == NULL)
    return -ENOMEM;
  int r = source_read(&usage->source, buf, fs->record,
                      fs->mft_lcn * fs->cluster);
  if (r == 0)
    r = ntfs_mend_record(buf, fs->record, "FILE");
  if (r == 0)
    r = add_from(fs, buf, &w, &fs->mft);
  if (r == 1 && (fs->mft.n == 0 || fs->mft.run[0].lcn != fs->mft_lcn))
    r = -EUCLEAN;
  if (r == 1)
    r = open_from(usage, &w, buf, buf + fs->record, &fs->mft);
  free(buf);
  return r < 0 ? r : r == 1 ? 0 : -EUCLEAN;
}
