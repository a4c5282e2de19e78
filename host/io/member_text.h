/* host/io/member_text.h: the members of a JSON object in the making, as text: a tree of them takes ten times as much. */
#ifndef MFQ_HOST_IO_MEMBER_TEXT_H
#define MFQ_HOST_IO_MEMBER_TEXT_H

#include <stddef.h>

#include <jansson.h>

/* Members with commas between them, without the braces. */
typedef struct mfq_member_text {
  char *text; /* NULL while there is none; to be freed */
  size_t bytes, capacity;
} mfq_member_text;

/* Adds a member, whose value it takes over. Returns 0, or -1 without memory; nothing is added then. */
int mfq_member_text_add(mfq_member_text *members, const char *name, json_t *value);

#endif
