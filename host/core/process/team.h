/* host/core/process/team.h: loops on several threads.
 *
 * The threads are the library's own and kept between calls: a team of them serves one call at a time, and as many teams
 * exist as calls have run at once. They block all signals and compute in the usual floating-point mode. A child made by
 * fork starts teams of its own; unloading the library ends all. A thread that cannot be created is done without: the
 * others take its share. */
#ifndef MFQ_HOST_CORE_TEAM_H
#define MFQ_HOST_CORE_TEAM_H

#include <mfq/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Items first ... end - 1 of a loop. `thread` is below the number of threads asked for; parts with the same number never
 * run at once. */
typedef void (*mfq_part_fn)(void *work, int thread, int64_t first, int64_t end);

/* A loop over items 0 ... count - 1, which threads take `step` at a time; 0: in a few parts for each thread. */
typedef struct mfq_loop {
  int threads; /* >= 1, the calling one included */
  int64_t count, step;
} mfq_loop;

/* Runs a loop and returns when all its parts are done. Parts start no loops of their own. */
void mfq_team_run(mfq_loop loop, mfq_part_fn part, void *work);

/* Runs body(user, 0) ... body(user, threads - 1) at once on threads that another library has. */
typedef void (*mfq_spawn_fn)(int threads, void (*body)(void *user, int thread), void *user);

/* Runs `call` on a thread of a team while the caller waits; loops in there run on the threads of `spawn`, at most
 * `threads`. So those threads belong to a thread of ours: fork, unloading and the caller's floating-point mode do not
 * reach them. Returns what `call` returns, with its error text; or OUT_OF_MEMORY, as a failure of `function`, where the
 * system lends no more threads: whether `spawn` can have them is tried before, since OpenMP ends the process otherwise. */
typedef struct mfq_lead {
  const char *function;
  mfq_spawn_fn spawn;
  int threads;
} mfq_lead;
mfq_status mfq_team_lead(mfq_lead lead, mfq_status (*call)(void *user), void *user);

/* Makes a team for a loop of so many threads before it is needed. Returns how many there are, the caller included: fewer
 * where the system lends no more. */
int mfq_team_prepare(int threads);

/* For a child made by fork, which has one thread: every team is free and empty. */
void mfq_team_forget(void);

#ifdef __cplusplus
}
#endif

#endif
