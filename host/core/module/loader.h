/* host/core/module/loader.h: where files to open come from: never the current folder, nor the name that a program was called
 * by. */
#ifndef MFQ_HOST_CORE_LOADER_H
#define MFQ_HOST_CORE_LOADER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MFQ_PATH_BYTES = 4096 };

/* The real path of the file that this code was loaded from: libmfq.so, or the program that it is linked into. Returns 0
 * where it cannot be told: the name by which a program was called may say anything, and is not asked. */
int mfq_own_file(char path[MFQ_PATH_BYTES]);

/* Opens `name`, which has no folder, where the loader searches; but not while it searches the current folder. Returns
 * NULL with the reason, a sentence without its full stop. */
void *mfq_loader_open(const char *name, int flags, char *reason, size_t capacity);

/* Why the last dlopen or dlsym of this thread failed. */
const char *mfq_loader_says(void);

#ifdef __cplusplus
}
#endif

#endif
