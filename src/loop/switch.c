#include "loop/switch.h"

#include "base/sanitizers.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; the headers may be older than the kernel */
#endif

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A guard that needs no mapping of its own leaves neighbouring stacks one mapping: vm.max_map_count bounds those. */
static bool guard(char *page, size_t bytes)
{
    return madvise(page, bytes, MADV_GUARD_INSTALL) == 0 || mprotect(page, bytes, PROT_NONE) == 0;
}

result stack_map(struct stack *ret, size_t bytes)
{
    size_t page = page_bytes();
    bytes = (bytes + page - 1) / page * page;
    char *memory = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return FAIL(E_RESOURCE, "Raise vm.max_map_count or the process's memory limit.",
                    "no memory for a stack: %s", strerror(errno));
    if (!guard(memory, page)) {
        int reason = errno;
        munmap(memory, bytes + page);
        return FAIL(E_RESOURCE, "Raise vm.max_map_count.", "no guard page for a stack: %s", strerror(reason));
    }
    *ret = (struct stack){ memory + page, bytes };
    return OK;
}

void stack_unmap(struct stack *stack)
{
    if (stack->base == NULL)
        return;
    size_t page = page_bytes();
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(stack->base, stack->bytes);
#endif
    munmap((char *)stack->base - page, stack->bytes + page);
    *stack = (struct stack){ 0 };
}

size_t stack_touched(const struct stack *stack)
{
    size_t page = page_bytes(), pages = stack->bytes / page, lowest = 0;
    unsigned char resident[1024];
    must(pages <= sizeof resident);
    if (mincore(stack->base, stack->bytes, resident) != 0)
        return 0;
    while (lowest < pages && (resident[lowest] & 1) == 0)
        lowest++;
    return (pages - lowest) * page;
}

void context_init_thread(struct context *thread)
{
    memset(thread, 0, sizeof *thread);
#ifdef WITH_TSAN
    thread->tsan_fiber = __tsan_get_current_fiber();
#endif
}

struct birth {
    struct context *self, *creator;
    void (*entry)(void *arg);
    void *arg;
};

static void be_born(unsigned high, unsigned low)
{
    struct birth *birth =
        (struct birth *)((uintptr_t)high << 32 | low); /* NOLINT(performance-no-int-to-ptr) */
    struct context *self = birth->self, *creator = birth->creator;
    void (*entry)(void *) = birth->entry;
    void *arg = birth->arg;
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &creator->asan_bottom, &creator->asan_size);
    __sanitizer_start_switch_fiber(&self->fake_stack, creator->asan_bottom, creator->asan_size);
#endif
    if (sigsetjmp(self->registers, 0) == 0) {
#ifdef WITH_TSAN
        __tsan_switch_to_fiber(creator->tsan_fiber, 0);
#endif
        siglongjmp(creator->registers, 1);
    }
    context_arrived(self);
    entry(arg);
    must(!"a fiber's entry returned");
}

/* Runs the new stack just far enough to save its registers, so that every later switch is a siglongjmp. */
void context_init(struct context *context, void (*entry)(void *arg), void *arg)
{
    struct context creator;
    context_init_thread(&creator);
    struct birth birth = { context, &creator, entry, arg };
    ucontext_t fresh;
    must(getcontext(&fresh) == 0);
    fresh.uc_stack.ss_sp = context->stack.base;
    fresh.uc_stack.ss_size = context->stack.bytes;
    fresh.uc_link = NULL;
    uintptr_t address = (uintptr_t)&birth;
    makecontext(&fresh, (void (*)(void))be_born, 2, (unsigned)(address >> 32),
                (unsigned)(address & 0xFFFFFFFFU));
#ifdef WITH_TSAN
    context->tsan_fiber = __tsan_create_fiber(0);
#endif
    context->asan_bottom = context->stack.base;
    context->asan_size = context->stack.bytes;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&creator.fake_stack, context->asan_bottom, context->asan_size);
#endif
    if (sigsetjmp(creator.registers, 0) == 0) {
#ifdef WITH_TSAN
        __tsan_switch_to_fiber(context->tsan_fiber, 0);
#endif
        setcontext(&fresh);
        must(!"setcontext returned");
    }
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(creator.fake_stack, NULL, NULL);
#endif
}

void context_done(struct context *context)
{
#ifdef WITH_TSAN
    if (context->tsan_fiber != NULL)
        __tsan_destroy_fiber(context->tsan_fiber);
#endif
    stack_unmap(&context->stack);
}

/* The bounds of the thread's own stack are only known to ASan, which tells them when we leave it: they are
 * kept by the context that arrives, in the one it came from. */
static _Thread_local struct context *came_from;

void context_arrived(struct context *self)
{
#ifdef WITH_ASAN
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &size);
    if (came_from != NULL && came_from->stack.base == NULL) {
        came_from->asan_bottom = bottom;
        came_from->asan_size = size;
    }
#else
#endif
}

void context_switch(struct context *from, struct context *to, bool ending)
{
    int saved_errno = errno;
    came_from = from;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(ending ? NULL : &from->fake_stack, to->asan_bottom, to->asan_size);
#else
#endif
    if (sigsetjmp(from->registers, 0) == 0) {
#ifdef WITH_TSAN
        __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
        siglongjmp(to->registers, 1);
    }
    context_arrived(from);
    errno = saved_errno;
}
