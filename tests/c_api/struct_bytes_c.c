// The bytes of public structs as C sees them, in the order of struct_bytes.def.
#include <mfq/mfq.h>

extern const size_t struct_bytes_in_c[];

#define STRUCT(name) sizeof(name),
const size_t struct_bytes_in_c[] = {
#include "struct_bytes.def"
};
