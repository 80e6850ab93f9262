/* roan/batch.h: commands that are sent together. */
#ifndef ROAN_BATCH_H
#define ROAN_BATCH_H

#include "roan/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_batch roan_batch;

/* Adds a command; the words are copied. What is wrong shows when the batch runs. */
ROAN_API void roan_batch_add(roan_batch *batch, size_t argc, const roan_slice *argv);

#ifdef __cplusplus
}
#endif
#endif
