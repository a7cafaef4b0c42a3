/* Threads that help if they come: the pool of the process.

   Design
   A. The caller works from the start, and the helpers that wake in time take what is
      left. The caller never waits for a thread that has not begun, only for one that is
      inside a piece. Rejected: OpenMP, whose regions begin and end when all threads
      have: beside one busy process a call on two cores took 10 to 200 times as long as
      on one thread.
   B. A thread owns a run of pieces, [first, last) in one word, and takes them from the
      front; one that has nothing left takes the rear half of the longest run. So the
      streams of memory stay long, and a thread that loses its core holds up one piece,
      not a share. Rejected: one counter for all, whose neighbouring pieces go to
      different cores (a quarter more time where memory is the limit).
   C. Whoever waits sleeps. Before that it looks again for SPIN nanoseconds, about what
      one piece takes: a wake-up costs 10 us, and calls often follow one another.
   D. A helper enters a job under the lock, before it reads it. The caller closes the job
      under the lock, waits for those inside, and only then returns: after that nobody
      reads or writes what the job points to.
   E. A process that was forked, by whomever, has no helpers, and perhaps a lock that
      nobody will open. A pool knows the process that made it: another one makes a new
      pool and lets the old one lie.
   F. Helpers block all signals, which are the caller's to see; they run on the
      processors that the caller may use, whoever made them; they have a stack of their
      own size, whatever the limits of the process. Where no thread can be made, the
      caller does all the work.
   G. What differs between systems is behind few functions: lock, unlock, sleep_on,
      wake_one, wake_all and start_thread. */
#ifndef FASTLOGLOSS_POOL_H
#define FASTLOGLOSS_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_STACK ((size_t)1 << 20) /* bytes; the kernels need a tenth of it */
#define POOL_SPIN 5000               /* nanoseconds */
#define POOL_LINE 64                 /* bytes of a line of the caches */

/* One piece of the work, by a thread that has the number `slot` in this job. */
typedef void (*pool_work)(void *argument, ptrdiff_t piece, int slot);

/* ---- What differs between systems ------------------------------------------------ */

#ifdef _WIN32

#include <process.h>
#include <windows.h>

typedef SRWLOCK pool_lock;
typedef CONDITION_VARIABLE pool_condition;
typedef int pool_processors; /* threads of a process share them */

static void lock(pool_lock *l) { AcquireSRWLockExclusive(l); }
static void unlock(pool_lock *l) { ReleaseSRWLockExclusive(l); }
static void sleep_on(pool_condition *c, pool_lock *l)
{
    SleepConditionVariableSRW(c, l, INFINITE, 0);
}
static void wake_one(pool_condition *c) { WakeConditionVariable(c); }
static void wake_all(pool_condition *c) { WakeAllConditionVariable(c); }

static void pool_helper(void *pool);
static unsigned __stdcall thread_main(void *pool)
{
    pool_helper(pool);
    return 0;
}
static int start_thread(void *pool)
{
    const uintptr_t handle = _beginthreadex(
        NULL, (unsigned)POOL_STACK, thread_main, pool,
        STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (!handle)
        return 0;
    CloseHandle((HANDLE)handle);
    return 1;
}

static int64_t process_id(void) { return 0; } /* nothing forks */
static void get_processors(pool_processors *p) { *p = 0; }
static void use_processors(const pool_processors *callers, pool_processors *mine)
{
    *mine = *callers;
}
static int64_t nanoseconds(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (int64_t)(1e9 * (double)count.QuadPart / (double)frequency.QuadPart);
}

#else

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

typedef pthread_mutex_t pool_lock;
typedef pthread_cond_t pool_condition;

static void lock(pool_lock *l) { pthread_mutex_lock(l); }
static void unlock(pool_lock *l) { pthread_mutex_unlock(l); }
static void sleep_on(pool_condition *c, pool_lock *l) { pthread_cond_wait(c, l); }
static void wake_one(pool_condition *c) { pthread_cond_signal(c); }
static void wake_all(pool_condition *c) { pthread_cond_broadcast(c); }

static void pool_helper(void *pool);
static void *thread_main(void *pool)
{
    pool_helper(pool);
    return NULL;
}
static int start_thread(void *pool)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    int failed;
    if (pthread_attr_init(&attributes))
        return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, thread_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

static int64_t process_id(void) { return (int64_t)getpid(); }
static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#ifdef CPU_COUNT
typedef cpu_set_t pool_processors;
static void get_processors(pool_processors *p)
{
    if (sched_getaffinity(0, sizeof *p, p))
        CPU_ZERO(p); /* more processors than the set has bits: nothing is moved */
}
/* Move this thread, which is on `mine`, to those of the caller. */
static void use_processors(const pool_processors *callers, pool_processors *mine)
{
    if (CPU_COUNT(callers) && !CPU_EQUAL(callers, mine)) {
        sched_setaffinity(0, sizeof *callers, callers);
        get_processors(mine);
    }
}
#else
typedef int pool_processors;
static void get_processors(pool_processors *p) { *p = 0; }
static void use_processors(const pool_processors *callers, pool_processors *mine)
{
    *mine = *callers;
}
#endif

#endif

/* ---- Atomic words ---------------------------------------------------------------- */

#if defined(__GNUC__) || defined(__clang__)

static uint64_t load_word(volatile uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static void store_word(volatile uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/* Whether the word was as expected, and is now the value. */
static int swap_word(volatile uint64_t *word, uint64_t expected, uint64_t value)
{
    return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}
#if defined(__x86_64__) || defined(__i386__)
#define POOL_RELAX() __builtin_ia32_pause()
#else
#define POOL_RELAX() ((void)0)
#endif

#else

#include <intrin.h>

static uint64_t load_word(volatile uint64_t *word)
{
    return (uint64_t)_InterlockedCompareExchange64((volatile __int64 *)word, 0, 0);
}
static int swap_word(volatile uint64_t *word, uint64_t expected, uint64_t value)
{
    return (uint64_t)_InterlockedCompareExchange64((volatile __int64 *)word,
                                                   (__int64)value, (__int64)expected)
        == expected;
}
static void store_word(volatile uint64_t *word, uint64_t value)
{
    while (!swap_word(word, load_word(word), value))
        ;
}
#define POOL_RELAX() YieldProcessor()

#endif

/* ---- Jobs ------------------------------------------------------------------------ */

typedef struct {
    volatile uint64_t pieces; /* first << 32 | last */
    char padding[POOL_LINE - sizeof(uint64_t)];
} Run;

typedef struct Job {
    pool_work work;
    void *argument;
    struct Job *next;          /* of the open ones */
    int n_slots;               /* the caller has slot 0 */
    int n_entered;             /* helpers, under the lock */
    volatile uint64_t inside;  /* helpers, written under the lock */
    pool_processors processors;
    Run runs[1];               /* (n_slots,) */
} Job;

typedef struct {
    pool_lock lock;
    pool_condition posted;     /* for helpers: a job is open */
    pool_condition left;       /* for callers: a helper has left a job */
    int64_t process;
    int n_helpers, n_sleeping; /* under the lock */
    Job *jobs;                 /* the open ones, under the lock */
    volatile uint64_t n_posted;
} Pool;

static volatile uint64_t the_pool = 0; /* its address */

static ptrdiff_t length_of(uint64_t run)
{
    const uint32_t first = (uint32_t)(run >> 32), last = (uint32_t)run;
    return first < last ? (ptrdiff_t)(last - first) : 0;
}

/* Take the rear half of the longest run, or all of one piece. */
static int take_run(Job *job, int slot)
{
    for (;;) {
        uint64_t longest = 0, middle;
        int i, owner = -1;
        for (i = 0; i < job->n_slots; ++i) {
            const uint64_t run = load_word(&job->runs[i].pieces);
            if (length_of(run) > length_of(longest)) {
                longest = run;
                owner = i;
            }
        }
        if (owner < 0)
            return 0;
        middle = (longest >> 32) + (uint64_t)length_of(longest) / 2;
        if (swap_word(&job->runs[owner].pieces, longest,
                      longest >> 32 << 32 | middle)) {
            store_word(&job->runs[slot].pieces,
                       middle << 32 | (longest & 0xFFFFFFFF));
            return 1;
        }
    }
}

static void work_on(Job *job, int slot)
{
    volatile uint64_t *own = &job->runs[slot].pieces;
    do {
        uint64_t run;
        while (length_of(run = load_word(own)))
            if (swap_word(own, run, run + ((uint64_t)1 << 32)))
                job->work(job->argument, (ptrdiff_t)(run >> 32), slot);
    } while (take_run(job, slot));
}

/* An open job that has room and work for one more. Under the lock. */
static Job *find_job(Pool *pool)
{
    Job *job;
    int i;
    for (job = pool->jobs; job; job = job->next)
        if (job->n_entered < job->n_slots - 1)
            for (i = 0; i < job->n_slots; ++i)
                if (length_of(load_word(&job->runs[i].pieces)))
                    return job;
    return NULL;
}

static void pool_helper(void *argument)
{
    Pool *pool = argument;
    pool_processors processors;
    get_processors(&processors);
    lock(&pool->lock);
    for (;;) {
        Job *job = find_job(pool);
        if (job) {
            const int slot = ++job->n_entered;
            store_word(&job->inside, load_word(&job->inside) + 1);
            unlock(&pool->lock);
            use_processors(&job->processors, &processors);
            work_on(job, slot);
            lock(&pool->lock);
            store_word(&job->inside, load_word(&job->inside) - 1);
            wake_all(&pool->left);
            /* Once the lock is open, the job may be gone. */
        } else {
            const uint64_t seen = load_word(&pool->n_posted);
            const int64_t end = nanoseconds() + POOL_SPIN;
            unlock(&pool->lock);
            while (load_word(&pool->n_posted) == seen && nanoseconds() < end)
                POOL_RELAX();
            lock(&pool->lock);
            if (load_word(&pool->n_posted) == seen) {
                ++pool->n_sleeping;
                sleep_on(&pool->posted, &pool->lock);
                --pool->n_sleeping;
            }
        }
    }
}

/* The pool of this process, or NULL where there is no memory for one. */
static Pool *get_pool(void)
{
    for (;;) {
        const uint64_t found = load_word(&the_pool);
        Pool *pool = (Pool *)(uintptr_t)found, *made;
        if (pool && pool->process == process_id())
            return pool;
        made = calloc(1, sizeof *made);
        if (!made)
            return NULL;
#ifndef _WIN32 /* there, zeros are an open lock */
        pthread_mutex_init(&made->lock, NULL);
        pthread_cond_init(&made->posted, NULL);
        pthread_cond_init(&made->left, NULL);
#endif
        made->process = process_id();
        if (swap_word(&the_pool, found, (uint64_t)(uintptr_t)made))
            return made;
        free(made); /* another thread was faster */
    }
}

static void post(Pool *pool, Job *job)
{
    int i;
    lock(&pool->lock);
    while (pool->n_helpers < job->n_slots - 1 && start_thread(pool))
        ++pool->n_helpers;
    job->next = pool->jobs;
    pool->jobs = job;
    store_word(&pool->n_posted, load_word(&pool->n_posted) + 1);
    for (i = 1; i < job->n_slots && i <= pool->n_sleeping; ++i)
        wake_one(&pool->posted);
    unlock(&pool->lock);
}

static void close_job(Pool *pool, Job *job)
{
    Job **link;
    int64_t end;
    lock(&pool->lock);
    for (link = &pool->jobs; *link != job;)
        link = &(*link)->next;
    *link = job->next;
    unlock(&pool->lock);
    end = nanoseconds() + POOL_SPIN;
    while (load_word(&job->inside) && nanoseconds() < end) {
        POOL_RELAX();
        work_on(job, 0); /* a run that was on its way from one slot to another */
    }
    lock(&pool->lock);
    while (load_word(&job->inside))
        sleep_on(&pool->left, &pool->lock);
    unlock(&pool->lock);
}

/* Do the pieces 0 to n_pieces - 1, in any order, on up to n_threads threads, each with
   a slot of its own below n_threads. Returns when all are done. */
static void pool_run(pool_work work, void *argument, ptrdiff_t n_pieces, int n_threads)
{
    Pool *pool = NULL;
    Job *job = NULL;
    ptrdiff_t piece;
    if (n_pieces < n_threads)
        n_threads = (int)n_pieces;
    if (n_threads > 1 && n_pieces <= (ptrdiff_t)0x7FFFFFFF && (pool = get_pool()))
        job = calloc(1, sizeof *job + (size_t)n_threads * sizeof(Run));
    if (!job) {
        for (piece = 0; piece < n_pieces; ++piece)
            work(argument, piece, 0);
        return;
    }
    job->work = work;
    job->argument = argument;
    job->n_slots = n_threads;
    job->runs[0].pieces = (uint64_t)n_pieces;
    get_processors(&job->processors);
    post(pool, job);
    work_on(job, 0);
    close_job(pool, job);
    free(job);
}

/* Helpers that the process has. */
static int pool_helpers(void)
{
    Pool *pool = (Pool *)(uintptr_t)load_word(&the_pool);
    int n = 0;
    if (pool && pool->process == process_id()) {
        lock(&pool->lock);
        n = pool->n_helpers;
        unlock(&pool->lock);
    }
    return n;
}

#endif
