/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c: vhdkit list.  What the library finds is put together to trees: an
 * image stands below its parent where that is listed too, else it is a root. */
#include "config.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "json.h"
#include "message.h"
#include "text.h"
#include "verbs.h"

static bool as_json, recursive;

static const struct option_spec options[] = {
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON: an array, parents before their children" },
  { .name = "recursive", .kind = OPTION_FLAG, .value = &recursive,
    .help = "list folders in folders too" },
  { .name = NULL },
};

struct node {
  struct vhd_list_item item; /* its strings are copies */
  struct node *up, *child, *next; /* its parent; the first below; beside it */
  bool shown;
};

static struct node **nodes;
static size_t nnodes;
static bool unread; /* something could not be */

/* --------------------------------------------------------------- collecting */

static char *
copy_of(const char *text)
{
  char *copy = text != NULL ? strdup(text) : NULL;

  if (text != NULL && copy == NULL)
    abort();
  return copy;
}

static int
collect(void *opaque, const struct vhd_list_item *item)
{
  (void)opaque;
  if ((nnodes & (nnodes + 1)) == 0) {
    nodes = realloc(nodes, (2 * nnodes + 1) * sizeof *nodes);
    if (nodes == NULL)
      abort();
  }
  struct node *node = calloc(1, sizeof *node);
  if (node == NULL)
    abort();
  node->item = *item;
  node->item.path = copy_of(item->path);
  node->item.message = copy_of(item->message);
  node->item.parent_name = copy_of(item->parent_name);
  node->item.parent = copy_of(item->parent);
  node->item.holder = copy_of(item->holder);
  nodes[nnodes++] = node;
  unread = unread || item->type == 0 || item->code == VHD_SYSTEM;
  return 0;
}

/* ------------------------------------------------------------------ sorting */

/* By the file; one that could not be opened has none. */
static int
compare_files(const void *a, const void *b)
{
  const struct node *x = *(struct node *const *)a;
  const struct node *y = *(struct node *const *)b;

  if (x->item.device != y->item.device)
    return x->item.device < y->item.device ? -1 : 1;
  if (x->item.inode != y->item.inode)
    return x->item.inode < y->item.inode ? -1 : 1;
  return strcmp(x->item.path, y->item.path);
}

static int
compare_paths(const void *a, const void *b)
{
  return strcmp((*(struct node *const *)a)->item.path,
                (*(struct node *const *)b)->item.path);
}

static bool
same_file(const struct node *a, const struct node *b)
{
  if (a->item.inode == 0 || b->item.inode == 0)
    return strcmp(a->item.path, b->item.path) == 0;
  return a->item.device == b->item.device && a->item.inode == b->item.inode;
}

static void
drop(struct node *node)
{
  const char *const texts[] = { node->item.path, node->item.message,
                                node->item.parent_name, node->item.parent,
                                node->item.holder };

  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    free((void *)(uintptr_t)texts[i]);
  free(node);
}

/* A file that has two names, or was named twice, is listed once. */
static void
drop_doubles(void)
{
  size_t n = 0;

  for (size_t i = 0; i < nnodes; i++)
    if (n == 0 || !same_file(nodes[n - 1], nodes[i]))
      nodes[n++] = nodes[i];
    else
      drop(nodes[i]);
  nnodes = n;
}

static struct node *
find_parent(struct node *const *by_file, const struct node *node)
{
  size_t low = 0, high = nnodes;

  if (node->item.parent == NULL)
    return NULL;
  while (low < high) {
    const size_t i = low + (high - low) / 2;
    const struct vhd_list_item *other = &by_file[i]->item;
    if (other->device == node->item.parent_device &&
        other->inode == node->item.parent_inode)
      return by_file[i];
    if (other->device < node->item.parent_device ||
        (other->device == node->item.parent_device &&
         other->inode < node->item.parent_inode))
      low = i + 1;
    else
      high = i;
  }
  return NULL;
}

/* Afterwards nodes are in the order of their paths. */
static void
make_trees(void)
{
  if (nnodes == 0)
    return;
  qsort(nodes, nnodes, sizeof *nodes, compare_files);
  drop_doubles();
  struct node **by_file = malloc(nnodes * sizeof *nodes);
  if (by_file == NULL)
    abort();
  memcpy(by_file, nodes, nnodes * sizeof *nodes);
  qsort(nodes, nnodes, sizeof *nodes, compare_paths);
  for (size_t i = nnodes; i-- > 0;) {
    struct node *parent = find_parent(by_file, nodes[i]);
    if (parent == NULL)
      continue;
    nodes[i]->next = parent->child;
    parent->child = nodes[i];
    nodes[i]->up = parent;
  }
  free(by_file);
}

/* ----------------------------------------------------------------- printing */

static const char *
type_name(enum vhd_type type)
{
  return type == VHD_FIXED ? "fixed" : type == VHD_DYNAMIC ? "dynamic"
         : type == VHD_DIFFERENCING ? "differencing" : "unknown";
}

static const char *
state_name(const struct vhd_list_item *item)
{
  switch (item->code) {
  case VHD_OK:
    return item->held != VHD_HELD_BY_NOBODY ? "in-use" : "ok";
  case VHD_PARENT_MISSING:
  case VHD_PARENT_ID:
  case VHD_PARENT_DENIED:
  case VHD_PARENT_TIMESTAMP:
  case VHD_CHAIN_CYCLE:
  case VHD_CHAIN_PARENT:
    return vhd_code_name(item->code);
  case VHD_FOOTER_MISSING:
  case VHD_FORMAT_UNKNOWN:
  case VHD_ARGUMENT:
    return "no-vhd";
  case VHD_SYSTEM:
  case VHD_BUSY:
    return "unreadable";
  default:
    return "damaged";
  }
}

static void
print_json(struct json_list *list, const struct vhd_list_item *item,
           unsigned depth)
{
  struct json *object = json_object_new();

  json_put_string(object, "filename", item->path);
  json_put_string(object, "state", state_name(item));
  json_put_int(object, "depth", depth);
  if (item->type != 0) {
    json_put_string(object, "format",
                    item->format == VHD_FORMAT_VHDX ? "vhdx" : "vpc");
    json_put_string(object, "type", type_name(item->type));
    json_put_int(object, "virtual-size", item->size);
    json_put_int(object, "actual-size", item->actual_size);
    json_put_int(object, "file-size", item->file_size);
    json_put_string(object, "id", item->id_text);
  }
  if (item->parent_id_text[0] != '\0') {
    json_put_string(object, "parent-id", item->parent_id_text);
    json_put_string(object, "backing-filename", item->parent_name);
  }
  if (item->parent != NULL)
    json_put_string(object, "full-backing-filename", item->parent);
  if (item->holder != NULL)
    json_put_string(object, "in-use-by", item->holder);
  if (item->message != NULL)
    json_put_string(object, "message", item->message);
  json_list_item(list, object);
}

static void
print_text(const struct node *node, unsigned depth)
{
  const struct vhd_list_item *item = &node->item;
  char *path = text_safe(item->path);
  char size[TEXT_SIZE], actual[TEXT_SIZE];

  printf("%*s%s%s", (int)depth * 2, "", path, item->type != 0 ? "  " : "");
  free(path);
  if (item->type != 0)
    printf("%s, %s, takes %s", type_name(item->type),
           text_size(item->size, size), text_size(item->actual_size, actual));
  if (item->holder != NULL) {
    char *holder = text_safe(item->holder);
    printf(", in use by %s", holder);
    free(holder);
  }
  if (item->parent != NULL && node->up == NULL) {
    char *parent = text_safe(item->parent);
    printf(", its parent is %s", parent);
    free(parent);
  }
  if (item->message != NULL) {
    char *message = text_safe(item->message);
    printf("\n%*s  ! %s: %s", (int)depth * 2, "", state_name(item), message);
    free(message);
  }
  putchar('\n');
}

/* Without recursion: a tree may be as deep as there are images. */
static void
print_tree(struct json_list *list, struct node *root)
{
  struct node **stack = malloc(nnodes * sizeof *stack);
  size_t n = 0;

  if (stack == NULL)
    abort();
  stack[n++] = root;
  while (n > 0) {
    struct node *node = stack[n - 1];
    if (node == NULL || node->shown) {
      n--;
      continue;
    }
    node->shown = true;
    if (as_json)
      print_json(list, &node->item, (unsigned)(n - 1));
    else
      print_text(node, (unsigned)(n - 1));
    stack[n - 1] = n > 1 ? node->next : NULL;
    if (node->child != NULL)
      stack[n++] = node->child;
  }
  free(stack);
}

/* The first, by its path, of the circle to which the way up leads: from so many
 * steps on there is nothing else. */
static struct node *
find_circle(struct node *node)
{
  for (size_t i = 0; i < nnodes; i++)
    node = node->up;
  struct node *first = node;
  for (struct node *other = node->up; other != node; other = other->up)
    if (strcmp(other->item.path, first->item.path) < 0)
      first = other;
  return first;
}

/* Of a circle of parents none is a root, so none of it is shown by now, nor
 * what hangs on it. */
static void
print_circles(struct json_list *list)
{
  for (size_t i = 0; i < nnodes; i++)
    if (!nodes[i]->shown) {
      free((void *)(uintptr_t)nodes[i]->item.message);
      nodes[i]->item.message = copy_of("its chain of parents is a circle");
      nodes[i]->item.code = VHD_CHAIN_CYCLE;
    }
  for (size_t i = 0; i < nnodes; i++)
    if (!nodes[i]->shown)
      print_tree(list, find_circle(nodes[i]));
}

static void
print_all(void)
{
  struct json_list list = { 0 };

  for (size_t i = 0; i < nnodes; i++)
    if (nodes[i]->up == NULL)
      print_tree(&list, nodes[i]);
  print_circles(&list);
  if (as_json)
    json_list_end(&list);
}

static int
run(char **args)
{
  const struct vhd_list_options opt = {
    .open = image_open_options(0),
    .flags = recursive ? VHD_LIST_RECURSIVE : 0,
  };
  struct vhd_error err = { 0 };

  for (; *args != NULL; args++)
    if (vhd_list(*args, &opt, collect, NULL, &err) < 0) {
      image_complain(&err, false);
      unread = true;
    }
  make_trees();
  print_all();
  return unread ? EXIT_FAILED : EXIT_DONE;
}

const struct verb list_verb = {
  .name = "list",
  .summary = "list the images of folders, parents with their children",
  .arguments = "FOLDER|IMAGE...",
  .min_args = 1,
  .max_args = INT_MAX,
  .options = { options, root_options },
  .run = run,
};
