/* SPDX-License-Identifier: BSD-2-Clause */
/* test-words: the words of a script's line. */
#include "config.h"

#include "unit/unit.h"
#include "words.h"

#define MAX 8

static const struct row {
  const char *line;
  const char *words[MAX]; /* NULL-terminated */
  const char *fault;      /* a part of it; or NULL */
} rows[] = {
  { "", { NULL }, NULL },
  { " \t\r\n", { NULL }, NULL },
  { "# create x", { NULL }, NULL },
  { "  #", { NULL }, NULL },
  { "info a.vhd", { "info", "a.vhd" }, NULL },
  { "\tinfo  a.vhd\t ", { "info", "a.vhd" }, NULL },
  { "info a.vhd\r", { "info", "a.vhd" }, NULL },
  { "info a.vhd # b", { "info", "a.vhd" }, NULL },
  { "info a#b", { "info", "a#b" }, NULL },
  { "info \\#b", { "info", "#b" }, NULL },
  { "info '#b'#", { "info", "#b#" }, NULL },
  { "x 'a b' \"c d\"", { "x", "a b", "c d" }, NULL },
  { "'' \"\" x''", { "", "", "x" }, NULL },
  { "a' 'b\" \"c\\ d", { "a b c d" }, NULL },
  { "'a\"b\\' \"c'd\"", { "a\"b\\", "c'd" }, NULL },
  { "\"\\\"\\\\\\n\"", { "\"\\\\n" }, NULL },
  { "\\\\ \\' \\\"", { "\\", "'", "\"" }, NULL },
  { "$HOME * ~ `x`", { "$HOME", "*", "~", "`x`" }, NULL },
  { "a;b|c>d&", { "a;b|c>d&" }, NULL },
  { "\xc3\xa4 \xff", { "\xc3\xa4", "\xff" }, NULL },
  { "1 2 3 4 5 6 7", { "1", "2", "3", "4", "5", "6", "7" }, NULL },
  { "1 2 3 4 5 6 7 8", { NULL }, "many" },
  { "a 'b", { NULL }, "' is not" },
  { "a \"b", { NULL }, "\" is not" },
  { "a \"b\\", { NULL }, "\" is not" },
  { "a \"b\\\"", { NULL }, "\" is not" },
  { "a b\\", { NULL }, "behind" },
  { "a b\\\r", { NULL }, "behind" },
  { "'", { NULL }, "' is not" },
  { "\\", { NULL }, "behind" },
};

/* In memory of just its size, beyond which a sanitizer sees each look. */
static int
split(const char *line, size_t len, char **words, char **copy,
      const char **fault)
{
  *copy = malloc(len + 1);
  assert_non_null(*copy);
  memcpy(*copy, line, len);
  (*copy)[len] = '\0';
  *fault = NULL;
  return words_split(*copy, words, MAX, fault);
}

static void
test_rows(void **state)
{
  (void)state;
  for (const struct row *r = rows; r < rows + ARRAY_SIZE(rows); r++) {
    char *words[MAX], *copy;
    const char *fault;
    int want = 0;
    const int n = split(r->line, strlen(r->line), words, &copy, &fault);
    while (r->words[want] != NULL)
      want++;
    ROW_INT(r->line, n, r->fault != NULL ? -1 : want);
    if (r->fault != NULL)
      ROW_TRUE(r->line, strstr(fault, r->fault) != NULL);
    for (int i = 0; i < n; i++)
      ROW_STRING(r->line, words[i], r->words[i]);
    if (n >= 0)
      ROW_TRUE(r->line, words[n] == NULL);
    free(copy);
  }
}

/* Whatever a line is, its words lie in it, one behind the other. */
static void
test_hostile(void **state)
{
  static const char letters[] = "ab  \t\r\n'\"\\#\xff";
  char line[40];

  (void)state;
  for (unsigned i = 0; i < 200000; i++) {
    char *words[MAX], *copy;
    const char *fault;
    const size_t len = unit_random() % sizeof line;
    for (size_t k = 0; k < len; k++)
      line[k] = letters[unit_random() % (sizeof letters - 1)];
    const int n = split(line, len, words, &copy, &fault);
    assert_true(n >= -1 && n < MAX);
    assert_true((n < 0) == (fault != NULL));
    const char *at = copy;
    for (int k = 0; k < n; k++) {
      assert_true(words[k] >= at);
      at = words[k] + strlen(words[k]) + 1;
      assert_true(at <= copy + len + 1);
    }
    free(copy);
  }
}

/* What is quoted comes out as it went in. */
static void
test_quoted(void **state)
{
  (void)state;
  for (unsigned i = 0; i < 20000; i++) {
    char word[20], line[60] = "x ", *words[MAX], *copy;
    const char *fault;
    const size_t len = unit_random() % (sizeof word - 1);
    size_t n = 2;
    line[n++] = '"';
    for (size_t k = 0; k < len; k++) {
      word[k] = (char)(unit_random() % 255 + 1);
      if (word[k] == '"' || word[k] == '\\')
        line[n++] = '\\';
      line[n++] = word[k];
    }
    word[len] = '\0';
    line[n++] = '"';
    assert_int_equal(split(line, n, words, &copy, &fault), 2);
    assert_string_equal(words[1], word);
    free(copy);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_hostile),
    cmocka_unit_test(test_quoted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
