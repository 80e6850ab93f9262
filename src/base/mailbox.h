/* base/mailbox.h: many senders, one receiver, first in first out per sender. Lock-free: a push is one compare-and-swap,
 * the receiver takes everything at once.
 *
 * A message is any struct that begins with a roan_mail. The receiver owns what it took. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct roan_mail roan_mail;
struct roan_mail {
    roan_mail *next;
    void (*deliver)(roan_mail *mail, void *receiver); /* runs on the receiver's thread and frees the mail */
};

typedef struct roan_mailbox {
    roan_mail *_Atomic newest;
} roan_mailbox;

/* Any thread. True when the box was empty, so that the sender knows to wake the receiver. */
static inline bool roan_mailbox_push(roan_mailbox *box, roan_mail *mail)
{
    roan_mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
    do
        mail->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail, memory_order_release,
                                                  memory_order_relaxed));
    return newest == NULL;
}

/* The receiver: everything pushed so far, oldest first, or NULL. */
static inline roan_mail *roan_mailbox_take(roan_mailbox *box)
{
    if (atomic_load_explicit(&box->newest, memory_order_relaxed) == NULL)
        return NULL;
    roan_mail *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire), *oldest = NULL;
    while (newest != NULL) {
        roan_mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
