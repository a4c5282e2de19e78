/* host/core/module/loader.c: where this code lies and what the loader would search. A search path that holds a relative
 * folder is refused: whoever owns that folder would choose the code that runs. */
#define _GNU_SOURCE /* dladdr1, dlinfo */
#include "loader.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char here = 0; /* lies in the file that is asked about */

/* The path in a line of /proc/self/maps, when its addresses hold `here`: "from-to rwxp offset device inode   path". */
static char *path_of_line(char *line) {
  char *end;
  const uintptr_t from = (uintptr_t)strtoull(line, &end, 16);
  if (*end != '-') return NULL;
  const uintptr_t to = (uintptr_t)strtoull(end + 1, &end, 16);
  char *path = strchr(end, '/');
  const uintptr_t wanted = (uintptr_t)&here;
  if (path == NULL || wanted < from || wanted >= to) return NULL;
  path[strcspn(path, "\n")] = '\0';
  return path;
}

/* What the kernel says, which knows the file itself. */
static int path_by_kernel(char path[MFQ_PATH_BYTES]) {
  char line[MFQ_PATH_BYTES + 128];
  FILE *maps = fopen("/proc/self/maps", "re");
  const char *found = NULL;
  while (maps != NULL && found == NULL && fgets(line, sizeof line, maps) != NULL) found = path_of_line(line);
  if (maps != NULL) (void)fclose(maps);
  if (found == NULL || strlen(found) >= MFQ_PATH_BYTES) return 0;
  memcpy(path, found, strlen(found) + 1);
  return 1;
}

static struct link_map *own_map(void) {
  Dl_info info;
  struct link_map *map = NULL;
  return dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
}

int mfq_own_file(char path[MFQ_PATH_BYTES]) {
  if (path_by_kernel(path)) return 1;
  /* Without /proc: a program has no name here, and what a library was opened by may be relative to another folder. */
  const struct link_map *map = own_map();
  return map != NULL && map->l_name[0] == '/' && strlen(map->l_name) < MFQ_PATH_BYTES && realpath(map->l_name, path);
}

const char *mfq_loader_says(void) {
  const char *text = dlerror();
  return text != NULL ? text : "the loader gives no reason";
}

/* Looks for a relative folder among those that the loader searches for this code: 1 when there is one, or none can be
 * ruled out. `folder` receives its name. */
static int searches_relative_folder(char *folder, size_t capacity) {
  (void)snprintf(folder, capacity, "(unknown)");
#if defined(__GLIBC__)
  const struct link_map *map = own_map();
  void *self = map == NULL ? NULL : dlopen(map->l_name[0] != '\0' ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
  Dl_serinfo size;
  if (self == NULL || dlinfo(self, RTLD_DI_SERINFOSIZE, &size) != 0) return 1;
  Dl_serinfo *list = malloc(size.dls_size);
  int is_relative = 1;
  if (list != NULL && dlinfo(self, RTLD_DI_SERINFOSIZE, list) == 0 && dlinfo(self, RTLD_DI_SERINFO, list) == 0) {
    is_relative = 0;
    for (unsigned i = 0; i < list->dls_cnt && !is_relative; ++i) {
      is_relative = list->dls_serpath[i].dls_name[0] != '/';
      if (is_relative) (void)snprintf(folder, capacity, "\"%s\"", list->dls_serpath[i].dls_name);
    }
  }
  free(list);
  (void)dlclose(self);
  return is_relative;
#else
  return 1;
#endif
}

void *mfq_loader_open(const char *name, int flags, char *reason, size_t capacity) {
  char folder[80];
  if (searches_relative_folder(folder, sizeof folder)) {
    (void)snprintf(reason, capacity,
                   "%s is not looked for where the loader searches, because that includes the relative folder %s: in "
                   "LD_LIBRARY_PATH, write folders from / on",
                   name, folder);
    return NULL;
  }
  void *handle = dlopen(name, flags);
  if (handle == NULL) (void)snprintf(reason, capacity, "%s", mfq_loader_says());
  return handle;
}
