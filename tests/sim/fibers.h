/* fibers.h: several flows of control on one thread, each with a stack of its own, switched only where they say so.
 *
 *     fibers_init(&fibers);
 *     fibers_start(&fibers, 0, body, context);      nothing runs yet
 *     fibers_switch_to(&fibers, 0);                 returns when fiber 0 calls fibers_yield() or its body returns
 *     fibers_done(&fibers);
 */
#ifndef ROAN_TEST_FIBERS_H
#define ROAN_TEST_FIBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

#define FIBERS_MAX 8
#define FIBER_STACK_BYTES ((size_t)256 << 10)

typedef void (*fiber_fn)(void *context);

typedef struct fiber {
    ucontext_t state;
    char *stack;
    fiber_fn body;
    void *context;
    bool is_running;      /* has begun or may begin, and has not returned */
    void *sanitizer_mark; /* its place in the sanitizer's view of stacks */
} fiber;

typedef struct fibers {
    fiber all[FIBERS_MAX];
    ucontext_t home; /* whoever calls fibers_switch_to */
    void *home_mark;
    const void *home_stack;
    size_t home_stack_bytes;
    int current; /* -1: home */
} fibers;

void fibers_init(fibers *set);
/* All bodies have returned, or are given up with what they have on their stacks. */
void fibers_done(fibers *set);
void fibers_start(fibers *set, int index, fiber_fn body, void *context);
/* From home only. */
void fibers_switch_to(fibers *set, int index);
/* From a fiber only: back to home. */
void fibers_yield(fibers *set);

#endif
