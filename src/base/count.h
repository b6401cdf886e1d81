#pragma once

/* How many elements an array has. What is not an array (a pointer, a parameter) does not compile. */
#define COUNT(array)                                                                                         \
    (sizeof(array) / sizeof((array)[0]) +                                                                    \
     0 * sizeof(struct {                                                                                     \
         _Static_assert(!__builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0])),           \
                        "it is an array");                                                                   \
         int unused;                                                                                         \
     }))
