/* SPDX-License-Identifier: BSD-2-Clause */
/* rules.h: the rules that keep data safe, each by a name at the place that
 * keeps it, so that the simulator (tests/sim) can show that it would notice if
 * one were dropped.
 *
 * RULE(name) is true, and costs nothing.  Only a library built with
 * VHDKIT_BREAKABLE can be told to break one.  Any thread. */
#ifndef BASE_RULES_H
#define BASE_RULES_H

/* name, what it says */
#define RULES(RULE_ROW)                                                       \
  RULE_ROW(SYNC_DATA, "data are durable before metadata lead to them")        \
  RULE_ROW(SYNC_METADATA, "metadata are durable before a flush is done")      \
  RULE_ROW(ALONE, "bytes alone are durable where their metadata are")         \
  RULE_ROW(FREEZE_BITMAP, "a commit writes the bitmap as it was frozen")      \
  RULE_ROW(FREEZE_ENTRY, "a commit writes no entry that changed since")       \
  RULE_ROW(RETIRE, "a slot is not used again while the disk leads to it")     \
  RULE_ROW(EPOCH, "a slot is not used again while somebody may look at it")   \
  RULE_ROW(HOLD, "a slot is not used again while its runs are pinned")        \
  RULE_ROW(PUNCH, "a slot that may hold stale bytes is punched first")        \
  RULE_ROW(RUNWAY, "the runway that was found is punched first")              \
  RULE_ROW(FOOTER, "the end of a longer file is durable before its use")      \
  RULE_ROW(PUBLISH, "the mapping changes after the data are written")         \
  RULE_ROW(BUSY, "one request at a time changes a block's mapping")           \
  RULE_ROW(HIDE, "zeros over an ancestor's data are kept in the child")       \
  RULE_ROW(JOURNAL, "what is acknowledged outlives the process")              \
  RULE_ROW(OPEN_SYNC, "what was read at open is what the disk has")           \
  RULE_ROW(FAILED_SYNC, "after a failed sync nothing is promised")            \
  RULE_ROW(FAILED_ENTRY, "an entry whose write failed is written again")

/* Those of changes of whole files, which tests/inplace breaks. */
#define INPLACE_RULES(RULE_ROW)                                               \
  RULE_ROW(REDO_BASE, "what a change leads to is durable before it")          \
  RULE_ROW(REDO_DOWN, "a change is written down durably before it is made")   \
  RULE_ROW(REDO_NAME, "what is written down has a durable name")              \
  RULE_ROW(REDO_MADE, "a change is durable before it is forgotten")           \
  RULE_ROW(REDO_REFUSE, "nobody reads what is half changed")                  \
  RULE_ROW(REDO_FINISH, "what is half changed is finished before all else")   \
  RULE_ROW(REDO_CHILD, "who is half changed is still somebody's child")       \
  RULE_ROW(NEW_WHOLE, "a new file is durable before it has its name")         \
  RULE_ROW(NEW_NAME, "a new file's name is durable when it is done")          \
  RULE_ROW(NAME_ADDED, "a second name is durable before the first is used")   \
  RULE_ROW(NAME_GONE, "that a name is gone is durable")                       \
  RULE_ROW(UNDO_FIRST, "what a repair changes is kept before")                \
  RULE_ROW(PARENT_FIRST, "a parent is durable before its child goes")         \
  RULE_ROW(LEAD_FIRST, "children are led away before their parent goes")      \
  RULE_ROW(LEAD_MARKED, "who goes is marked before children are led away")    \
  RULE_ROW(ONLY_FOOTER, "a file is at no moment without a footer")            \
  RULE_ROW(HIDING_LAST, "what hides a parent's data goes with the size")      \
  RULE_ROW(TIME_LAST, "a file whose journal counts keeps its times")

enum rule {
#define RULE_ROW(name, text) RULE_##name,
  RULES(RULE_ROW)
  INPLACE_RULES(RULE_ROW)
#undef RULE_ROW
  RULE_NONE
};

#ifdef VHDKIT_BREAKABLE
extern enum rule rule_broken;
#define RULE(name) (rule_broken != RULE_##name)
#else
#define RULE(name) 1
#endif

#endif
