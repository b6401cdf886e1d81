#pragma once
/* Stacks and the switch between them: ucontext to create, sigsetjmp/siglongjmp (without the signal mask) to
 * swap, with the sanitizers' hooks. A context belongs to one thread. No libuv here. */
#include "base/result.h"

#include <setjmp.h>

struct stack {
    void *base; /* lowest usable byte, above the guard page */
    size_t bytes;
};
result stack_map(struct stack *ret, size_t bytes) MUST_USE; /* E_RESOURCE; rounds up to pages */
void stack_unmap(struct stack *stack);
size_t stack_touched(const struct stack *stack); /* bytes from the top to the lowest resident page */

struct context {
    sigjmp_buf registers;
    struct stack stack; /* empty for the thread's own */
    void *fake_stack;   /* ASan's */
    void *tsan_fiber;
    const void *asan_bottom;
    size_t asan_size;
};

void context_init_thread(struct context *thread); /* the context that is running now */
/* Prepares `context` to run entry(arg) on its stack at the first switch to it. entry never returns. */
void context_init(struct context *context, void (*entry)(void *arg), void *arg);
void context_done(struct context *context);

/* Saves the running context in `from` and goes on with `to`. `ending`: `from` is never switched to again. */
void context_switch(struct context *from, struct context *to, bool ending);
/* The first thing on a new stack. */
void context_arrived(struct context *self);
