/* Threads that help if they come: the pool of the process.

   Design
   A. The caller works from the start, and the helpers that wake in time take what is
      left. The caller never waits for a thread that has not begun a piece, or has ended
      one: it waits until all pieces are done, and each slot counts its own. Rejected: OpenMP, whose regions begin and end when all threads
      have: beside one busy process a call on two cores took 10 to 200 times as long as
      on one thread.
   B. A thread owns a run of pieces, [first, last) in one word, and takes them from the
      front; one that has nothing left takes the rear half of the longest run. So the
      streams of memory stay long, and a thread that loses its core holds up one piece,
      not a share. Rejected: one counter for all, whose neighbouring pieces go to
      different cores (a quarter more time where memory is the limit).
   C. Whoever waits sleeps. Before that it looks again for as long as one of its pieces
      took: calls often follow one another. To wake a thread takes up to 10 us of the
      one that does it, and 20 until the other runs (to start one takes more), so the
      caller wakes or starts two, and each that comes two more.
   D. A helper enters a job under the lock, before it reads it. The caller closes the
      job under the lock, and returns once all pieces are done: after that nobody reads
      or writes what the argument points to. The last one who leaves the job frees it.
   E. A process that was forked, by whomever, has no helpers, and perhaps a lock that
      nobody will release. The memory of a pool is wiped there; where the system cannot
      do that, the pool knows the process that made it. A new pool takes its place.
   F. A helper may run where its caller may, but not where its caller is: Linux often
      wakes it there, where it only stops the caller (a call of 300 us with a helper
      then took 320). Once the caller has nothing to do but wait, it may go there too.
      Nobody is moved in a process with a filter of system calls, which may end it.
   G. Helpers block all signals, which are the caller's to see, but for those of their
      own faults. They have a stack of their own size, whatever the limits of the
      process, and the priority of the thread that started them. Where no thread can be
      made, the caller does all the work.
   H. What differs between systems is behind few functions: lock, unlock, sleep_on, wake,
      start_thread and, for F, place. */
#ifndef FASTLOGLOSS_POOL_H
#define FASTLOGLOSS_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_STACK ((size_t)1 << 20) /* bytes; the kernels need less than 32 KiB */
#define POOL_SPIN 20000              /* nanoseconds at the most */
#define POOL_CALLS 2                 /* helpers that one thread wakes for a job */
#define POOL_LINE 64                 /* bytes of a line of the caches */

/* One piece of the work, by a thread that has the number `slot` in this job. */
typedef void (*pool_work)(void *argument, ptrdiff_t piece, int slot);

/* ---- What differs between systems ------------------------------------------------ */

#ifdef _WIN32

#include <process.h>
#include <windows.h>

typedef SRWLOCK pool_lock;
typedef CONDITION_VARIABLE pool_condition;
typedef int pool_thread; /* nobody is moved */
typedef int pool_processors;

static void lock(pool_lock *l) { AcquireSRWLockExclusive(l); }
static void unlock(pool_lock *l) { ReleaseSRWLockExclusive(l); }
static void sleep_on(pool_condition *c, pool_lock *l)
{
    SleepConditionVariableSRW(c, l, INFINITE, 0);
}
static void wake(pool_condition *c) { WakeAllConditionVariable(c); }

static void pool_helper(void *helper);
static unsigned __stdcall thread_main(void *helper)
{
    pool_helper(helper);
    return 0;
}
static int start_thread(void *helper)
{
    const uintptr_t handle = _beginthreadex(
        NULL, (unsigned)POOL_STACK, thread_main, helper,
        STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (!handle)
        return 0;
    CloseHandle((HANDLE)handle);
    return 1;
}

static int64_t process_id(void) { return 0; } /* nothing forks */
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
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

typedef pthread_mutex_t pool_lock;
typedef pthread_cond_t pool_condition;

static void lock(pool_lock *l) { pthread_mutex_lock(l); }
static void unlock(pool_lock *l) { pthread_mutex_unlock(l); }
static void sleep_on(pool_condition *c, pool_lock *l) { pthread_cond_wait(c, l); }
static void wake(pool_condition *c) { pthread_cond_broadcast(c); }

static void pool_helper(void *helper);
static void *thread_main(void *helper)
{
    pool_helper(helper);
    return NULL;
}
static int start_thread(void *helper)
{
    pthread_t thread;
    pthread_attr_t attributes;
    static const int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    sigset_t blocked, before;
    size_t i;
    int failed;
    if (pthread_attr_init(&attributes))
        return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    sigfillset(&blocked);
    for (i = 0; i < sizeof faults / sizeof *faults; ++i)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    failed = pthread_create(&thread, &attributes, thread_main, helper);
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

#endif

#if defined(__linux__) && defined(CPU_COUNT)

typedef pid_t pool_thread;
typedef cpu_set_t pool_processors;

static pool_thread this_thread(void) { return (pid_t)syscall(SYS_gettid); }
static void get_processors(pool_processors *p)
{
    /* Nobody is moved with a filter of system calls, nor where there are more
       processors than the set has bits. */
    if (prctl(PR_GET_SECCOMP) != 0 || sched_getaffinity(0, sizeof *p, p))
        CPU_ZERO(p);
}
static void leave_out_this(pool_processors *p)
{
    const int here = sched_getcpu();
    if (here >= 0 && here < CPU_SETSIZE && CPU_ISSET(here, p) && CPU_COUNT(p) > 1)
        CPU_CLR(here, p);
}
static int must_move(const pool_processors *wanted, const pool_processors *now)
{
    return CPU_COUNT(wanted) && !CPU_EQUAL(wanted, now);
}
/* Let a thread run on `wanted` alone, which runs on `now`. */
static void place(pool_thread thread, const pool_processors *wanted,
                  pool_processors *now)
{
    if (thread && must_move(wanted, now)) {
        sched_setaffinity(thread, sizeof *wanted, wanted);
        *now = *wanted; /* also where it failed, not to be tried at every call */
    }
}

#else

#ifndef _WIN32
typedef int pool_thread;
typedef int pool_processors;
#endif
static pool_thread this_thread(void) { return 0; }
static void get_processors(pool_processors *p) { *p = 0; }
static void leave_out_this(pool_processors *p) { (void)p; }
static int must_move(const pool_processors *wanted, const pool_processors *now)
{
    return *wanted != *now;
}
static void place(pool_thread thread, const pool_processors *wanted,
                  pool_processors *now)
{
    (void)thread;
    *now = *wanted;
}

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
    volatile uint64_t done;   /* how many, by the slot that writes it */
    char padding[POOL_LINE - 2 * sizeof(uint64_t)];
} Run;

typedef struct Job {
    pool_work work;
    void *argument;
    struct Job *next;          /* of the open ones */
    int n_slots;               /* the caller has slot 0 */
    uint64_t n_pieces;
    int n_called, n_entered;   /* helpers, under the lock */
    int inside;                /* who may read the job, under the lock */
    pool_processors callers;   /* where the caller may run, */
    pool_processors others;    /* and but for where it was at the start */
    Run runs[1];               /* (n_slots,) */
} Job;

typedef struct Helper {
    struct Pool *pool;
    struct Helper *next;       /* of all; the rest is under the lock */
    pool_condition woken;
    int sleeping;
    Job *job;                  /* that it is inside of */
    pool_thread thread;        /* 0 before it has begun */
    pool_processors processors;
} Helper;

typedef struct Pool {
    pool_lock lock;
    pool_condition left;       /* a helper has left a job */
    int64_t process;
    Helper *helpers;           /* under the lock */
    int n_helpers;
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

/* Returns how long a look at the clock may be put off: what one piece took. */
static int64_t work_on(Job *job, int slot)
{
    volatile uint64_t *own = &job->runs[slot].pieces;
    const int64_t start = nanoseconds();
    int64_t n = 0, each;
    do {
        uint64_t run;
        while (length_of(run = load_word(own)))
            if (swap_word(own, run, run + ((uint64_t)1 << 32))) {
                job->work(job->argument, (ptrdiff_t)(run >> 32), slot);
                store_word(&job->runs[slot].done, job->runs[slot].done + 1);
                ++n;
            }
    } while (take_run(job, slot));
    each = n ? (nanoseconds() - start) / n : 0;
    return each < POOL_SPIN ? each : POOL_SPIN;
}

static int all_done(Job *job)
{
    uint64_t n = 0;
    int i;
    for (i = 0; i < job->n_slots; ++i)
        n += load_word(&job->runs[i].done);
    return n == job->n_pieces;
}

/* Under the lock. */
static void leave_job(Job *job)
{
    if (--job->inside == 0)
        free(job);
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

/* Start one more helper, if that can be done. Under the lock. */
static int add_helper(Pool *pool)
{
    Helper *helper = calloc(1, sizeof *helper);
    if (!helper)
        return 0;
    helper->pool = pool;
#ifndef _WIN32
    pthread_cond_init(&helper->woken, NULL);
#endif
    if (!start_thread(helper)) {
        free(helper);
        return 0;
    }
    helper->next = pool->helpers;
    pool->helpers = helper;
    ++pool->n_helpers;
    return 1;
}

/* Wake some of those who sleep, or start some, if the job has room for them. Under the
   lock. */
static void call_helpers(Pool *pool, Job *job)
{
    Helper *helper;
    int calls = 0;
    for (helper = pool->helpers; helper; helper = helper->next) {
        if (calls == POOL_CALLS || job->n_called == job->n_slots - 1)
            return;
        if (helper->sleeping) {
            helper->sleeping = 0;
            place(helper->thread, &job->others, &helper->processors);
            wake(&helper->woken);
            ++job->n_called;
            ++calls;
        }
    }
    for (; calls < POOL_CALLS && job->n_called < job->n_slots - 1; ++calls) {
        if (pool->n_helpers >= job->n_slots - 1 || !add_helper(pool))
            return;
        ++job->n_called;
    }
}

/* All that a helper does: it never returns. */
static void pool_helper(void *argument)
{
    Helper *self = argument;
    Pool *pool = self->pool;
    int64_t patience = 0;
    lock(&pool->lock);
    self->thread = this_thread();
    get_processors(&self->processors);
    for (;;) {
        Job *job = find_job(pool);
        if (job && must_move(&job->others, &self->processors)) {
            const pool_processors others = job->others;
            unlock(&pool->lock); /* for it may take long until it runs there */
            place(self->thread, &others, &self->processors);
            lock(&pool->lock);
            job = find_job(pool);
        }
        if (job) {
            const int slot = ++job->n_entered;
            self->job = job;
            ++job->inside;
            call_helpers(pool, job);
            unlock(&pool->lock);
            patience = work_on(job, slot);
            lock(&pool->lock);
            self->job = NULL;
            leave_job(job);
            wake(&pool->left);
        } else {
            const uint64_t seen = load_word(&pool->n_posted);
            const int64_t end = nanoseconds() + patience;
            unlock(&pool->lock);
            while (load_word(&pool->n_posted) == seen && nanoseconds() < end)
                POOL_RELAX();
            lock(&pool->lock);
            if (load_word(&pool->n_posted) == seen) {
                self->sleeping = 1;
                while (self->sleeping)
                    sleep_on(&self->woken, &pool->lock);
            }
            patience = 0;
        }
    }
}

/* Memory of a new pool, all zeros, as it will be in a forked process. */
static Pool *new_pool(void)
{
#ifdef MADV_WIPEONFORK
    void *memory = mmap(NULL, sizeof(Pool), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, sizeof(Pool), MADV_WIPEONFORK); /* older kernels cannot do it */
    return memory;
#else
    return calloc(1, sizeof(Pool));
#endif
}

static void free_pool(Pool *pool)
{
#ifdef MADV_WIPEONFORK
    munmap(pool, sizeof *pool);
#else
    free(pool);
#endif
}

/* The pool of this process, or NULL where there is no memory for one. */
static Pool *get_pool(void)
{
    for (;;) {
        const uint64_t found = load_word(&the_pool);
        Pool *pool = (Pool *)(uintptr_t)found, *made;
        if (pool && pool->process == process_id())
            return pool;
        made = new_pool();
        if (!made)
            return NULL;
#ifndef _WIN32 /* there, zeros are an open lock */
        pthread_mutex_init(&made->lock, NULL);
        pthread_cond_init(&made->left, NULL);
#endif
        made->process = process_id();
        if (swap_word(&the_pool, found, (uint64_t)(uintptr_t)made))
            return made;
        free_pool(made); /* another thread was faster */
    }
}

static void post(Pool *pool, Job *job)
{
    lock(&pool->lock);
    job->next = pool->jobs;
    pool->jobs = job;
    store_word(&pool->n_posted, load_word(&pool->n_posted) + 1);
    call_helpers(pool, job);
    unlock(&pool->lock);
}

static void close_job(Pool *pool, Job *job, int64_t patience)
{
    Job **link;
    Helper *helper;
    int64_t end;
    lock(&pool->lock);
    for (link = &pool->jobs; *link != job;)
        link = &(*link)->next;
    *link = job->next;
    unlock(&pool->lock);
    end = nanoseconds() + patience;
    while (!all_done(job) && nanoseconds() < end) {
        POOL_RELAX();
        work_on(job, 0); /* a run that was on its way from one slot to another */
    }
    lock(&pool->lock);
    if (!all_done(job)) {
        for (helper = pool->helpers; helper; helper = helper->next)
            if (helper->job == job)
                place(helper->thread, &job->callers, &helper->processors);
        while (!all_done(job))
            sleep_on(&pool->left, &pool->lock);
    }
    leave_job(job);
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
        job = calloc(1, sizeof *job + (size_t)(n_threads - 1) * sizeof(Run));
    if (!job) {
        for (piece = 0; piece < n_pieces; ++piece)
            work(argument, piece, 0);
        return;
    }
    job->work = work;
    job->argument = argument;
    job->n_slots = n_threads;
    job->n_pieces = (uint64_t)n_pieces;
    job->inside = 1;
    job->runs[0].pieces = (uint64_t)n_pieces;
    get_processors(&job->callers);
    job->others = job->callers;
    leave_out_this(&job->others);
    post(pool, job);
    close_job(pool, job, work_on(job, 0));
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
