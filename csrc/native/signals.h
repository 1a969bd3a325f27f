/* Handlers of signals, saved before foreign code runs and put back after it.
 *
 * Libraries replace them: MPI, UCX and TensorRT-LLM want to say more when a process dies. Go needs its own: it turns
 * SIGSEGV into a panic, and its handlers run on a stack of their own (SA_ONSTACK), since a goroutine's is too small. */
#ifndef TRTGO_SIGNALS_H
#define TRTGO_SIGNALS_H

#include <signal.h>
#include <string.h>

enum { TRTGO_SIGNALS = 65 }; /* one more than the last of Linux */

/* What the process did on each signal. known is 0 for the numbers that are none, or are the C library's own. */
typedef struct trtgo_signals {
  struct sigaction actions[TRTGO_SIGNALS];
  char known[TRTGO_SIGNALS];
} trtgo_signals;

/* Saves what the process does on each signal. Any thread. */
static inline void trtgo_signals_save(trtgo_signals* saved) {
  memset(saved, 0, sizeof(*saved));
  for (int number = 1; number < TRTGO_SIGNALS; number++) {
    saved->known[number] = sigaction(number, NULL, &saved->actions[number]) == 0;
  }
}

/* Tells whether two actions do the same. The pointers are in a union: sa_handler and sa_sigaction are one. */
static inline int trtgo_signals_same(const struct sigaction* a, const struct sigaction* b) {
  if (a->sa_flags != b->sa_flags || a->sa_handler != b->sa_handler) return 0;
  for (int number = 1; number < TRTGO_SIGNALS; number++) {
    if (sigismember(&a->sa_mask, number) != sigismember(&b->sa_mask, number)) return 0;
  }
  return 1;
}

/* Puts back the action of one signal, where it is another now. Returns whether it was. Any thread. */
static inline int trtgo_signals_restore_one(const trtgo_signals* saved, int number) {
  struct sigaction now;
  if (!saved->known[number] || sigaction(number, NULL, &now) != 0) return 0;
  if (trtgo_signals_same(&now, &saved->actions[number])) return 0;
  return sigaction(number, &saved->actions[number], NULL) == 0;
}

/* Puts back the actions that are others now. Returns how many were. Any thread. */
static inline int trtgo_signals_restore(const trtgo_signals* saved) {
  int changed = 0;
  for (int number = 1; number < TRTGO_SIGNALS; number++) changed += trtgo_signals_restore_one(saved, number);
  return changed;
}

/* Puts back those of the signals that Go turns into panics, and of abort(): no program of Go's changes them, so that
 * this can be done at any time. Returns how many were changed. Any thread. */
static inline int trtgo_signals_restore_faults(const trtgo_signals* saved) {
  return trtgo_signals_restore_one(saved, SIGSEGV) + trtgo_signals_restore_one(saved, SIGBUS) +
         trtgo_signals_restore_one(saved, SIGFPE) + trtgo_signals_restore_one(saved, SIGABRT);
}

#endif /* TRTGO_SIGNALS_H */
