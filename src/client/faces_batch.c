/* client/faces_batch.c: adds a command that was put together to a batch. Apart from faces.c, so that a program that
 * uses no batch does not link them. */
#include "client/faces.h"

#include "roan/words.h"

void roan_words_batch(roan_batch *batch, roan_words *words)
{
    if (words->status == ROAN_OK)
        roan_batch_add(batch, words->count, words->words);
    else
        roan_batch_refused(batch, words->status, words->problem);
    roan_words_done(words);
}
