//go:build linux

#define _GNU_SOURCE
#include "thread.h"

#include <pthread.h>

/* A call that waits for the thread. */
typedef struct job {
  int32_t (*run)(const struct job* job);
  const trtgo_api* api;
  trtgo_library* library;
  const trtgo_executor_options* options;
  trtgo_executor* executor;
  trtgo_executor** out;
  trtgo_error** error;
  int32_t status;
  int done;
} job;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static job* next; /* NULL while the thread has nothing to do */
static int started;

static void* serve(void* unused) {
  (void)unused;
  pthread_mutex_lock(&mutex);
  for (;;) {
    while (next == NULL) pthread_cond_wait(&changed, &mutex);
    job* const j = next;
    pthread_mutex_unlock(&mutex);
    j->status = j->run(j);
    pthread_mutex_lock(&mutex);
    j->done = 1;
    next = NULL;
    pthread_cond_broadcast(&changed);
  }
  return NULL;
}

static int start(void) {
  pthread_t thread;
  const int failed = started ? 0 : pthread_create(&thread, NULL, serve, NULL);
  if (failed || started) return failed;
  started = 1;
  pthread_setname_np(thread, "trtgo-executor");
  pthread_detach(thread);
  return 0;
}

static int32_t on_thread(job j) {
  pthread_mutex_lock(&mutex);
  const int failed = start();
  if (failed) {
    pthread_mutex_unlock(&mutex);
    return -failed;
  }
  while (next != NULL) pthread_cond_wait(&changed, &mutex);
  next = &j;
  pthread_cond_broadcast(&changed);
  while (!j.done) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  return j.status;
}

static int32_t run_open(const job* j) { return j->api->executor_open(j->library, j->options, j->out, j->error); }
static int32_t run_shutdown(const job* j) { return j->api->executor_shutdown(j->executor, j->error); }
static int32_t run_finalize(const job* j) { return j->api->finalize(j->error); }
static int32_t run_free(const job* j) {
  j->api->executor_free(j->executor);
  return TRTGO_OK;
}

int32_t trtgo_thread_open(const trtgo_api* api, trtgo_library* library, const trtgo_executor_options* options,
                          trtgo_executor** out, trtgo_error** error) {
  return on_thread(
      (job){.run = run_open, .api = api, .library = library, .options = options, .out = out, .error = error});
}

int32_t trtgo_thread_shutdown(const trtgo_api* api, trtgo_executor* executor, trtgo_error** error) {
  return on_thread((job){.run = run_shutdown, .api = api, .executor = executor, .error = error});
}

int32_t trtgo_thread_free(const trtgo_api* api, trtgo_executor* executor) {
  return on_thread((job){.run = run_free, .api = api, .executor = executor});
}

int32_t trtgo_thread_finalize(const trtgo_api* api, trtgo_error** error) {
  return on_thread((job){.run = run_finalize, .api = api, .error = error});
}
