#include "api/work.h"

#include "loop/fiber.h"

result api_work(struct api_work *budget, size_t bytes, void (*work)(void *arg), void *arg)
{
    if (bytes > API_SLICE_BYTES) {
        budget->spent = 0;
        return fiber_offload(work, arg);
    }
    if (budget->spent + bytes > API_SLICE_BYTES) {
        budget->spent = 0;
        TRY(fiber_yield());
    }
    budget->spent += bytes;
    work(arg);
    return OK;
}
