/* fibers.c: see fibers.h. Address sanitizer is told about each change of stacks. */
#include "fibers.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

static void leave_stack(void **mark, const void *stack, size_t bytes)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(mark, stack, bytes);
#else
    (void)mark;
    (void)stack;
    (void)bytes;
#endif
}

static void enter_stack(void *mark, const void **ret_from, size_t *ret_from_bytes)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(mark, ret_from, ret_from_bytes);
#else
    (void)mark;
    (void)ret_from;
    (void)ret_from_bytes;
#endif
}

void fibers_init(fibers *set)
{
    *set = (struct fibers){.current = -1};
}

void fibers_done(fibers *set)
{
    for (int i = 0; i < FIBERS_MAX; i++)
        free(set->all[i].stack);
}

static void begin(unsigned high, unsigned low)
{
    fibers *set = (fibers *)((uintptr_t)high << 32 | low);
    fiber *self = &set->all[set->current];
    enter_stack(NULL, &set->home_stack, &set->home_stack_bytes);
    self->body(self->context);
    self->is_running = false;
    leave_stack(NULL, set->home_stack, set->home_stack_bytes); /* for good; uc_link leads home */
}

void fibers_start(fibers *set, int index, fiber_fn body, void *context)
{
    fiber *started = &set->all[index];
    if (started->stack == NULL)
        started->stack = malloc(FIBER_STACK_BYTES);
    if (started->stack == NULL || getcontext(&started->state) != 0)
        abort();
    started->state.uc_stack.ss_sp = started->stack;
    started->state.uc_stack.ss_size = FIBER_STACK_BYTES;
    started->state.uc_link = &set->home;
    started->body = body;
    started->context = context;
    started->is_running = true;
    uintptr_t address = (uintptr_t)set;
    makecontext(&started->state, (void (*)(void))begin, 2, (unsigned)(address >> 32), (unsigned)address);
}

void fibers_switch_to(fibers *set, int index)
{
    fiber *next = &set->all[index];
    set->current = index;
    leave_stack(&set->home_mark, next->stack, FIBER_STACK_BYTES);
    if (swapcontext(&set->home, &next->state) != 0)
        abort();
    enter_stack(set->home_mark, NULL, NULL);
    set->current = -1;
}

void fibers_yield(fibers *set)
{
    fiber *self = &set->all[set->current];
    leave_stack(&self->sanitizer_mark, set->home_stack, set->home_stack_bytes);
    if (swapcontext(&self->state, &set->home) != 0)
        abort();
    enter_stack(self->sanitizer_mark, &set->home_stack, &set->home_stack_bytes);
}
