/* host/core/process/lock.c: all locks of the process are taken before a fork, in one order, and made anew in the child,
 * whose other threads are gone. */
#include "lock.h"

#include <pthread.h>

#include "team.h"

static pthread_mutex_t locks[MFQ_LOCKS] = {[MFQ_LOCK_DEVICES] = PTHREAD_MUTEX_INITIALIZER,
                                           [MFQ_LOCK_CUDA] = PTHREAD_MUTEX_INITIALIZER,
                                           [MFQ_LOCK_ONEDNN] = PTHREAD_MUTEX_INITIALIZER,
                                           [MFQ_LOCK_TEAMS] = PTHREAD_MUTEX_INITIALIZER};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int is_watched;

static void before_fork(void) {
  for (int i = 0; i < MFQ_LOCKS; ++i) (void)pthread_mutex_lock(&locks[i]);
}

static void in_parent(void) {
  for (int i = MFQ_LOCKS; i-- > 0;) (void)pthread_mutex_unlock(&locks[i]);
}

static void in_child(void) {
  for (int i = 0; i < MFQ_LOCKS; ++i) (void)pthread_mutex_init(&locks[i], NULL);
  mfq_team_forget();
}

static void watch_forks(void) { is_watched = pthread_atfork(before_fork, in_parent, in_child) == 0; }

void mfq_lock(mfq_lock_name name) {
  (void)pthread_once(&once, watch_forks);
  (void)pthread_mutex_lock(&locks[name]);
}

void mfq_unlock(mfq_lock_name name) { (void)pthread_mutex_unlock(&locks[name]); }

int mfq_lock_survives_fork(void) {
  (void)pthread_once(&once, watch_forks);
  return is_watched;
}
