/* The pool of threads under stress: several callers at a time, each with jobs of few
   and many pieces on one to six threads. Every piece is done once, and no two threads
   have the same slot at a time. With FORKS, children and children of children too. */
#undef NDEBUG
#include "pool.h"

#include <assert.h>
#include <stdio.h>
#include <sys/wait.h>

enum { CALLERS = 5, THREADS = 6, PIECES = 200, JOBS = 1000 };

typedef struct {
    int done[PIECES];
    uint64_t taken[THREADS];
    int n_threads;
} Work;

static void work_on_piece(void *argument, ptrdiff_t piece, int slot)
{
    Work *work = argument;
    volatile int i;
    assert(0 <= slot && slot < work->n_threads);
    assert(swap_word(&work->taken[slot], 0, 1));
    work->done[piece] += 1;
    for (i = 0; i < piece % 7 * 30; ++i)
        ;
    store_word(&work->taken[slot], 0);
}

static void run_jobs(int n, uint32_t seed)
{
    for (; n > 0; --n) {
        Work work = {0};
        int piece, n_pieces;
        seed = seed * 1103515245u + 12345u;
        n_pieces = (int)((seed >> 16) % PIECES);
        work.n_threads = 1 + (int)((seed >> 8) % THREADS);
        pool_run(work_on_piece, &work, n_pieces, work.n_threads);
        for (piece = 0; piece < PIECES; ++piece)
            assert(work.done[piece] == (piece < n_pieces));
    }
}

static void *call(void *seed)
{
    run_jobs(JOBS, (uint32_t)(uintptr_t)seed);
    return NULL;
}

static int run_child(int depth)
{
    const pid_t child = fork();
    int status;
    if (child == 0) {
        assert(pool_helpers() == 0);
        run_jobs(50, (uint32_t)depth);
        _exit(depth ? run_child(depth - 1) : 0);
    }
    assert(waitpid(child, &status, 0) == child);
    return status != 0;
}

int main(void)
{
    pthread_t callers[CALLERS];
    uintptr_t i;
    for (i = 0; i < CALLERS; ++i)
        pthread_create(callers + i, NULL, call, (void *)(i * 7919 + 1));
    for (i = 0; FORKS && i < 30; ++i)
        assert(run_child(1) == 0);
    for (i = 0; i < CALLERS; ++i)
        pthread_join(callers[i], NULL);
    printf("%d helpers\n", pool_helpers());
    return 0;
}
