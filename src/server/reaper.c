/* server/reaper.c: one thread that frees big values and whole tables, so that no command waits for it. */
#include "server/housekeeping.h"

#include "base/macros.h"

#include <sys/resource.h>
#include <unistd.h>

#define REAPER_NICENESS 10

typedef struct roan_reaper roan_reaper;

typedef struct reaper_job reaper_job;
struct reaper_job {
    reaper_job *next;
    roan_entry *entry;   /* or */
    roan_table *tables;
    unsigned table_count;
};

struct roan_reaper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    reaper_job *oldest, *newest;
    bool stops;
    _Atomic size_t pending, freed;
};

static size_t run_job(const reaper_job *job)
{
    if (job->entry != NULL) {
        roan_entry_free(NULL, job->entry);
        return 1;
    }
    size_t count = 0;
    for (unsigned i = 0; i < job->table_count; i++) {
        count += job->tables[i].count;
        roan_table_clear(&job->tables[i]);
    }
    roan_free(job->tables, job->table_count * sizeof *job->tables);
    return count;
}

static reaper_job *next_job(roan_reaper *reaper)
{
    pthread_mutex_lock(&reaper->lock);
    while (reaper->oldest == NULL && !reaper->stops)
        pthread_cond_wait(&reaper->wanted, &reaper->lock);
    reaper_job *job = reaper->oldest;
    if (job != NULL)
        reaper->oldest = job->next;
    pthread_mutex_unlock(&reaper->lock);
    return job;
}

/* Freeing millions of elements must not take the processor from a worker on the same core; but when all are busy it
 * still needs a share (about a tenth), or memory would not come back. */
static void be_nice(void)
{
    ROAN_IGNORE(setpriority(PRIO_PROCESS, (id_t)gettid(), REAPER_NICENESS)); /* a wish */
}

static void *reap(void *argument)
{
    roan_reaper *reaper = argument;
    roan_alloc_counter_of_thread();
    be_nice();
    for (reaper_job *job; (job = next_job(reaper)) != NULL;) {
        size_t count = run_job(job);
        atomic_fetch_sub(&reaper->pending, job->entry != NULL ? 1 : count);
        atomic_fetch_add(&reaper->freed, count);
        roan_free(job, sizeof *job);
    }
    return NULL;
}

roan_reaper *roan_reaper_create(void)
{
    roan_reaper *reaper = roan_alloc_zero(sizeof *reaper);
    ROAN_ASSERT(pthread_mutex_init(&reaper->lock, NULL) == 0);
    ROAN_ASSERT(pthread_cond_init(&reaper->wanted, NULL) == 0);
    ROAN_ASSERT(pthread_create(&reaper->thread, NULL, reap, reaper) == 0);
    return reaper;
}

roan_reaper *roan_reaper_free(roan_reaper *reaper)
{
    if (reaper == NULL)
        return NULL;
    pthread_mutex_lock(&reaper->lock);
    reaper->stops = true;
    pthread_cond_signal(&reaper->wanted);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    pthread_mutex_destroy(&reaper->lock);
    pthread_cond_destroy(&reaper->wanted);
    roan_free(reaper, sizeof *reaper);
    return NULL;
}

static void add_job(roan_reaper *reaper, reaper_job job, size_t count)
{
    reaper_job *copy = roan_alloc(sizeof *copy);
    *copy = job;
    atomic_fetch_add(&reaper->pending, count);
    pthread_mutex_lock(&reaper->lock);
    if (reaper->oldest == NULL)
        reaper->oldest = copy;
    else
        reaper->newest->next = copy;
    reaper->newest = copy;
    pthread_cond_signal(&reaper->wanted);
    pthread_mutex_unlock(&reaper->lock);
}

void roan_reaper_add(roan_reaper *reaper, roan_entry *entry)
{
    add_job(reaper, (reaper_job){.entry = entry}, 1);
}

void roan_reaper_add_tables(roan_reaper *reaper, roan_table *tables, unsigned table_count)
{
    size_t count = 0;
    for (unsigned i = 0; i < table_count; i++)
        count += tables[i].count;
    add_job(reaper, (reaper_job){.tables = tables, .table_count = table_count}, count);
}

size_t roan_reaper_pending(const roan_reaper *reaper)
{
    return atomic_load_explicit(&reaper->pending, memory_order_relaxed);
}

size_t roan_reaper_freed(const roan_reaper *reaper)
{
    return atomic_load_explicit(&reaper->freed, memory_order_relaxed);
}
