/* host/io/json_members.h: a JSON object, member by member.
 *
 * The text is hostile. A tree of all of it would take up to 80 times its bytes, and reading it a stack as deep as it
 * nests; so each member becomes a tree by itself, after its nesting is checked. */
#ifndef MFQ_HOST_IO_JSON_MEMBERS_H
#define MFQ_HOST_IO_JSON_MEMBERS_H

#include <stddef.h>

#include <jansson.h>

enum { MFQ_JSON_DEPTH = 16, MFQ_JSON_MEMBER_BYTES = 1 << 16 };

/* The members of an object that is all of text[at, end). */
typedef struct mfq_json_members {
  const char *text;
  size_t at, end; /* what comes next, or what is wrong */
  int is_first;   /* no member was read yet */
  int is_wrong;   /* then `why` says it, unless memory is missing */
  int is_no_memory;
  char why[JSON_ERROR_TEXT_LENGTH];
} mfq_json_members;

typedef struct mfq_json_member {
  char *key;       /* to be freed */
  size_t from, to; /* the value, in the text */
} mfq_json_member;

/* Begins with the object text[at, end). Returns 0 when that is none. */
int mfq_json_begin(mfq_json_members *members, const char *text, size_t at, size_t end);
/* Reads the next member. Returns 0 behind the last one, and when something is wrong: objects and arrays within each
 * other, the object itself included, are more than MFQ_JSON_DEPTH. */
int mfq_json_next(mfq_json_members *members, mfq_json_member *member);
/* The value, which begins with a quote, as text to be freed; NULL when something is wrong. */
char *mfq_json_text(mfq_json_members *members, const mfq_json_member *member);
/* The value as a tree, without duplicate keys; NULL when something is wrong. */
json_t *mfq_json_value(mfq_json_members *members, const mfq_json_member *member);

#endif
