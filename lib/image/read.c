/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c: the requests that change nothing: read and map. */
#include "config.h"

#include <string.h>

#include "image/image.h"
#include "image/map.h"
#include "image/request.h"

/* --------------------------------------------------------------------- read */

static phase_fn read_arrived;

/* Asks for as many runs as one step can carry, and fills in the zeros. */
enum vhd_step
read_gather(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  struct vhd_run run;

  request_pin(req);
  req->nio = 0;
  while (m->pos < end && req->nio < VHD_REQUEST_IOS) {
    if (!map_next(m->layers, m->pos, end - m->pos, &run, &m->need)) {
      if (req->nio > 0)
        break;
      return request_load(req, m->need.layer, m->need.blk, read_gather);
    }
    char *to = (char *)req->buf + (m->pos - req->off);
    if (run.kind == VHD_RUN_DATA)
      request_add_io(req, run.file, VHD_IO_READ, run.file_off, run.len, to, 0);
    else
      memset(to, 0, run.len);
    m->pos += run.len;
    if (m->pos < end && map_is_long(&m->need))
      break;
  }
  if (req->nio > 0)
    return request_io(req, read_arrived);
  return m->pos < end ? request_look_later(req, read_gather)
                      : request_done(req, 0);
}

static enum vhd_step
read_arrived(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0 || machine_of(req)->pos == req->off + req->len)
    return request_done(req, result);
  return request_next(req, read_gather);
}

/* ---------------------------------------------------------------------- map */

/* Does the run go on where the last one ended? */
static bool
continues(const struct vhd_run *last, const struct vhd_run *run)
{
  return last->kind == run->kind && last->depth == run->depth &&
         (run->kind != VHD_RUN_DATA ||
          (last->file == run->file &&
           last->file_off + last->len == run->file_off));
}

/* Holds the slots in which the runs lie, or lets go of them. */
static void
hold_slots(struct vhd_request *req, uint32_t n)
{
  struct space *space = &req->image->space;

  for (unsigned i = 0; i < req->nruns; i++)
    if (req->runs[i].file == req->image->top->file)
      atomic_fetch_add(space_hold_of(space, req->runs[i].file_off), n);
}

/* Mostly there is one run: then what counts the holds on it is kept. */
static inline void
hold_run(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  struct space *space = &req->image->space;

  m->hold = NULL;
  if (req->runs[0].file != req->image->top->file)
    return;
  m->hold = space_hold_of(space, req->runs[0].file_off);
  atomic_fetch_add(m->hold, 1);
}

/* The runs stay what they are, however long the caller takes: no layer is
 * closed, and no slot among them is used again.  That is all they need; the
 * epoch is let go, or one client that does not take its answer would keep all
 * slots from use. */
static void
hold_runs(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  m->held = m->layers;
  atomic_fetch_add(&m->held->holds, 1);
  /* Of a file that is not written no slot is used again. */
  m->nheld = req->image->space.held ? req->nruns : 0;
  if (m->nheld == 1)
    hold_run(req);
  else if (m->nheld > 1)
    hold_slots(req, 1);
}

void
vhd_request_end(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  if (!m->held)
    return;
  if (m->nheld > 1)
    hold_slots(req, -1U);
  else if (m->nheld == 1 && m->hold)
    atomic_fetch_sub(m->hold, 1);
  atomic_fetch_sub(&m->held->holds, 1);
  m->held = NULL;
}

enum vhd_step
map_gather(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  unsigned max = req->flags & VHD_ONE_RUN ? 1 : req->max_runs;

  request_pin(req);
  while (m->pos < end) {
    struct vhd_run *run =
      req->nruns < max ? &req->runs[req->nruns] : &m->next_run;
    if (!map_next(m->layers, m->pos, end - m->pos, run, &m->need))
      return request_load(req, m->need.layer, m->need.blk, map_gather);
    uint64_t len = run->len;
    if (req->nruns > 0 && continues(&req->runs[req->nruns - 1], run))
      req->runs[req->nruns - 1].len += len;
    else if (req->nruns < max)
      req->nruns++;
    else
      break;
    m->pos += len;
    if (m->pos < end && map_is_long(&m->need))
      return request_look_later(req, map_gather);
  }
  if (req->flags & VHD_PIN)
    hold_runs(req);
  return request_done(req, 0);
}
