/* host/core/process/lock.h: the locks of the process, which a child made by fork finds open.
 *
 * fork waits until nobody holds one, so that what they guard is whole in the child. */
#ifndef MFQ_HOST_CORE_LOCK_H
#define MFQ_HOST_CORE_LOCK_H

/* In the order in which they may be taken. */
typedef enum mfq_lock_name {
  MFQ_LOCK_DEVICES,
  MFQ_LOCK_CUDA,
  MFQ_LOCK_ONEDNN,
  MFQ_LOCK_TEAMS,
  MFQ_LOCKS
} mfq_lock_name;

void mfq_lock(mfq_lock_name name);
void mfq_unlock(mfq_lock_name name);

/* Whether forks are watched, which takes memory; it is tried at the first lock. */
int mfq_lock_survives_fork(void);

#endif
