/* host/core/process/team.c: how a team works: the caller publishes a job and takes parts of it itself; threads look for
 * work a short while, then sleep. Joining is counted, so that the job may live on the caller's stack. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/error.h"
#include "fp_mode.h"
#include "lock.h"

/* Threads look for work so often before they sleep, some ten microseconds; and one that waits for the last part of
 * another, before it lends its processor. */
enum { WORKERS_MAX = 1023, SPINS_FOR_WORK = 2000, SPINS_FOR_END = 500, PARTS_EACH = 4 };

/* Stacks of our threads: loops take up to 200 KiB (docs/process.md), thread-local memory of other libraries may come on
 * top. */
#define STACK_BYTES ((size_t)1 << 20)

/* What a team does at the moment; on the stack of the caller. */
typedef struct job {
  mfq_part_fn part;
  void *work;
  mfq_loop loop;
  int64_t parts;
  _Atomic int64_t next;   /* part that nobody has taken */
  _Atomic int joined;     /* threads beside the caller */
  _Atomic int unfinished; /* 1 while the caller waits for a part that it has not taken itself */
} job;

typedef struct team team;
struct team {
  team *next_free, *next; /* of those that are free, of all */
  job *current;
  unsigned jobs;
  _Atomic unsigned open;  /* the number of the job that threads may join; 0: none */
  _Atomic int inside;     /* threads that may be looking at a job */
  _Atomic int sleepers;   /* threads in `wake` */
  _Atomic int is_awaited; /* the caller is in `done` */
  _Atomic int is_ending;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  int kind;
  int workers;
  int lent; /* threads of another library that were to be had beside this team's first one */
  pthread_t threads[WORKERS_MAX];
};

/* Teams for loops, and teams of one thread that leads those of another library: OpenMP has threads for each that does. */
enum { LOOPS, LEADS, KINDS };

static struct { team *all, *free[KINDS]; } teams; /* under MFQ_LOCK_TEAMS */

static _Thread_local mfq_spawn_fn borrowed; /* set in mfq_team_lead */

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/* ---- A team's threads --------------------------------------------------------------------------------------------- */

static void take_parts(job *j, int thread) {
  for (int64_t i; (i = atomic_fetch_add(&j->next, 1)) < j->parts;) {
    const int64_t first = i * j->loop.step, left = j->loop.count - first;
    j->part(j->work, thread, first, first + (left < j->loop.step ? left : j->loop.step));
  }
}

static int has_work(team *t, unsigned seen) {
  const unsigned open = atomic_load(&t->open);
  return (open != 0 && open != seen) || atomic_load(&t->is_ending);
}

static void wait_for_work(team *t, unsigned seen) {
  for (int i = 0; i < SPINS_FOR_WORK; ++i) {
    if (has_work(t, seen)) return;
    pause_briefly();
  }
  (void)pthread_mutex_lock(&t->lock);
  atomic_fetch_add(&t->sleepers, 1);
  while (!has_work(t, seen)) (void)pthread_cond_wait(&t->wake, &t->lock);
  atomic_fetch_sub(&t->sleepers, 1);
  (void)pthread_mutex_unlock(&t->lock);
}

static void leave(team *t) {
  if (atomic_fetch_sub(&t->inside, 1) != 1 || !atomic_load(&t->is_awaited)) return;
  (void)pthread_mutex_lock(&t->lock);
  (void)pthread_cond_broadcast(&t->done);
  (void)pthread_mutex_unlock(&t->lock);
}

/* Joins the job of the moment, if it is a new one: its memory is there as long as this thread is `inside` and has found
 * it open since. */
static unsigned join_job(team *t, unsigned seen) {
  atomic_fetch_add(&t->inside, 1);
  const unsigned open = atomic_load(&t->open);
  if (open != 0 && open != seen) {
    seen = open;
    const int thread = atomic_fetch_add(&t->current->joined, 1) + 1;
    if (thread < t->current->loop.threads) take_parts(t->current, thread);
  }
  leave(t);
  return seen;
}

static void *worker(void *user) {
  team *t = user;
  (void)mfq_fp_enter();
  for (unsigned seen = 0; !atomic_load(&t->is_ending); seen = join_job(t, seen)) wait_for_work(t, seen);
  return NULL;
}

/* ---- Making and ending threads ------------------------------------------------------------------------------------ */

/* Starts one thread that never handles a signal. Returns 0 where there is none to be had. */
static int start(pthread_t *thread, void *(*body)(void *), void *user) {
  sigset_t all, before;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return 0;
  (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  const int is_there = pthread_create(thread, &attributes, body, user) == 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)pthread_attr_destroy(&attributes);
  return is_there;
}

static void grow(team *t, int workers) {
  const int wanted = workers < WORKERS_MAX ? workers : WORKERS_MAX;
  while (t->workers < wanted && start(&t->threads[t->workers], worker, t)) {
    (void)pthread_setname_np(t->threads[t->workers], "mfq");
    ++t->workers;
  }
}

static void open_sync(team *t) {
  (void)pthread_mutex_init(&t->lock, NULL);
  (void)pthread_cond_init(&t->wake, NULL);
  (void)pthread_cond_init(&t->done, NULL);
}

void mfq_team_forget(void) {
  teams.free[LOOPS] = teams.free[LEADS] = NULL;
  for (team *t = teams.all; t != NULL; t = t->next) {
    *t = (team){.next = t->next, .kind = t->kind, .next_free = teams.free[t->kind]};
    open_sync(t);
    teams.free[t->kind] = t;
  }
  borrowed = NULL;
}

/* A team that is nobody else's, with `workers` threads or as many as there are; NULL: not even memory. */
static team *acquire(int kind, int workers) {
  if (!mfq_lock_survives_fork()) return NULL;
  mfq_lock(MFQ_LOCK_TEAMS);
  team *t = teams.free[kind];
  if (t != NULL) {
    teams.free[kind] = t->next_free;
  } else if ((t = calloc(1, sizeof *t)) != NULL) {
    open_sync(t);
    t->kind = kind;
    t->next = teams.all;
    teams.all = t;
  }
  mfq_unlock(MFQ_LOCK_TEAMS);
  if (t != NULL && t->workers < workers) grow(t, workers);
  return t;
}

static void release(team *t) {
  mfq_lock(MFQ_LOCK_TEAMS);
  t->next_free = teams.free[t->kind];
  teams.free[t->kind] = t;
  mfq_unlock(MFQ_LOCK_TEAMS);
}

static void end_team(team *t) {
  atomic_store(&t->is_ending, 1);
  (void)pthread_mutex_lock(&t->lock);
  (void)pthread_cond_broadcast(&t->wake);
  (void)pthread_mutex_unlock(&t->lock);
  for (int i = 0; i < t->workers; ++i) (void)pthread_join(t->threads[i], NULL);
  (void)pthread_cond_destroy(&t->done);
  (void)pthread_cond_destroy(&t->wake);
  (void)pthread_mutex_destroy(&t->lock);
  free(t);
}

/* When the library is unloaded or the process ends. A team that still serves a call is left alone. */
__attribute__((destructor)) static void end_teams(void) {
  mfq_lock(MFQ_LOCK_TEAMS);
  for (int kind = 0; kind < KINDS; ++kind)
    for (team *t; (t = teams.free[kind]) != NULL;) {
      team **link = &teams.all;
      while (*link != t) link = &(*link)->next;
      *link = t->next;
      teams.free[kind] = t->next_free;
      end_team(t);
    }
  mfq_unlock(MFQ_LOCK_TEAMS);
}

int mfq_team_prepare(int threads) {
  team *t = threads > 1 ? acquire(LOOPS, threads - 1) : NULL;
  if (t == NULL) return 1;
  const int there = t->workers + 1;
  release(t);
  return there < threads ? there : threads;
}

/* ---- Jobs --------------------------------------------------------------------------------------------------------- */

static void open_job(team *t, job *j) {
  t->current = j;
  if (++t->jobs == 0) t->jobs = 1;
  atomic_store(&t->open, t->jobs);
  if (atomic_load(&t->sleepers) == 0) return;
  (void)pthread_mutex_lock(&t->lock);
  if (j->loop.threads - 1 >= t->workers)
    (void)pthread_cond_broadcast(&t->wake);
  else
    for (int i = 1; i < j->loop.threads; ++i) (void)pthread_cond_signal(&t->wake);
  (void)pthread_mutex_unlock(&t->lock);
}

/* Whether what the caller waits for is done, and no thread looks at the job. */
static int is_over(team *t, job *j) { return !atomic_load(&j->unfinished) && atomic_load(&t->inside) == 0; }

static void wait_for_end(team *t, job *j) {
  int before;
  for (int i = 0; i < SPINS_FOR_END; ++i) {
    if (is_over(t, j)) return;
    pause_briefly();
  }
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before); /* the job is on this thread's stack */
  (void)pthread_mutex_lock(&t->lock);
  atomic_store(&t->is_awaited, 1);
  while (!is_over(t, j)) (void)pthread_cond_wait(&t->done, &t->lock);
  atomic_store(&t->is_awaited, 0);
  (void)pthread_mutex_unlock(&t->lock);
  (void)pthread_setcancelstate(before, NULL);
}

static void join_borrowed(void *user, int thread) { take_parts(user, thread); }

static job make_job(mfq_loop loop, mfq_part_fn part, void *work) {
  job j = {.part = part, .work = work, .loop = loop};
  const int64_t shares = (int64_t)loop.threads * PARTS_EACH;
  if (loop.step <= 0) j.loop.step = loop.count / shares + (loop.count % shares != 0);
  j.parts = loop.count / j.loop.step + (loop.count % j.loop.step != 0);
  if (j.parts < loop.threads) j.loop.threads = (int)j.parts;
  return j;
}

void mfq_team_run(mfq_loop loop, mfq_part_fn part, void *work) {
  if (loop.count <= 0) return;
  if (loop.threads <= 1) {
    part(work, 0, 0, loop.count);
    return;
  }
  job j = make_job(loop, part, work);
  team *t = NULL;
  if (j.loop.threads > 1 && borrowed != NULL) {
    borrowed(j.loop.threads, join_borrowed, &j);
    return;
  }
  if (j.loop.threads > 1) t = acquire(LOOPS, j.loop.threads - 1);
  if (t == NULL || t->workers == 0) {
    take_parts(&j, 0);
  } else {
    open_job(t, &j);
    take_parts(&j, 0);
    atomic_store(&t->open, 0);
    wait_for_end(t, &j);
  }
  if (t != NULL) release(t);
}

/* ---- Threads of another library ----------------------------------------------------------------------------------- */

static void *wait_at_gate(void *gate) {
  (void)pthread_mutex_lock(gate);
  (void)pthread_mutex_unlock(gate);
  return NULL;
}

/* Whether so many threads can exist beside the others: makes them, all at once, and ends them. */
static int can_start(int count) {
  pthread_t threads[WORKERS_MAX];
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  int made = 0;
  (void)pthread_mutex_lock(&gate);
  while (made < count && made < WORKERS_MAX && start(&threads[made], wait_at_gate, &gate)) ++made;
  (void)pthread_mutex_unlock(&gate);
  for (int i = 0; i < made; ++i) (void)pthread_join(threads[i], NULL);
  return made == count;
}

typedef struct led_call {
  mfq_lead lead;
  mfq_status (*call)(void *user);
  void *user;
  job *job;
  mfq_status status;
  char error[MFQ_SENTENCE_MAX];
} led_call;

static void lead_part(void *work, int thread, int64_t first, int64_t end) {
  led_call *c = work;
  (void)thread, (void)first, (void)end;
  borrowed = c->lead.spawn;
  c->status = c->call(c->user);
  borrowed = NULL;
  if (c->status != MFQ_OK) (void)snprintf(c->error, sizeof c->error, "%s", mfq_last_error());
  atomic_store(&c->job->unfinished, 0);
}

mfq_status mfq_team_lead(mfq_lead lead, mfq_status (*call)(void *user), void *user) {
  team *t = acquire(LEADS, 1);
  int is_there = t != NULL && t->workers > 0;
  if (is_there && t->lent < lead.threads - 1) {
    is_there = can_start(lead.threads - 1);
    if (is_there) t->lent = lead.threads - 1;
  }
  led_call c = {.lead = lead, .call = call, .user = user};
  if (is_there) {
    job j = {.part = lead_part, .work = &c, .loop = {2, 1, 1}, .parts = 1, .unfinished = 1};
    c.job = &j;
    open_job(t, &j);
    wait_for_end(t, &j);
    atomic_store(&t->open, 0);
    wait_for_end(t, &j);
  }
  if (t != NULL) release(t);
  if (!is_there)
    return mfq_fail(
        MFQ_ERROR_OUT_OF_MEMORY, lead.function,
        "the system lends no %d threads to this process now; create the context with fewer threads, or raise "
        "the limit (ulimit -u, pids.max)",
        lead.threads);
  if (c.status != MFQ_OK) mfq_error_restore(c.error);
  return c.status;
}
