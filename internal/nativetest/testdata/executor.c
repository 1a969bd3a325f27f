/* The executor half of the fake library. Its model counts: a prompt that ends in 7 goes on with 8, 9, …; each await
 * gives every request one token more. What a call does wrong is chosen by what it gets:
 *
 *   engine directory that contains "refused"    cannot be opened
 *   engine directory that contains "follower"   is not the leader; its shutdown takes a while
 *   setting "unknown"                           there is none of that name
 *   prompt that begins with -1                  fails, by an error in its output
 *   prompt that begins with -2                  await fails, and goes on afterwards
 *   prompt that begins with -3                  its logits are of a type that logits do not have
 *   prompt that begins with -4, -5              its logits are of 16 bits: HALF, BF16
 *   prompt that begins with -6                  fails, by an error without words
 *
 * It ends the process where a rule of trtgo.h is broken: two calls at the same time that must not be, outputs that
 * outlive the executor, a thread other than the first for what TensorRT-LLM does on one. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

enum { kVocab = 4 };

typedef struct request {
  struct request* next;
  uint64_t id, client_id;
  int32_t first, last, num_prompt, max_tokens, produced;
  int64_t beams;
  int cancelled, log_probs, context_logits, generation_logits, perf_metrics;
} request;

struct trtgo_executor {
  pthread_mutex_t mutex; /* guards what follows, up to the atomics */
  pthread_cond_t changed;
  request* live;
  uint64_t last_id;
  int64_t max_queue_size;
  int32_t num_live;
  int leader, draining, down;
  char* log; /* JSON strings, each after a comma */
  size_t log_size;
  FILE* calls;
  char *iterations, *requests;
  atomic_int running, awaiting, asking[2], batches;
};

struct trtgo_outputs {
  trtgo_executor* executor;
  trtgo_output* list;
  void** memory;
  size_t* sizes;
  int32_t num;
};

static pid_t first_thread; /* where executors are opened and shut down, and MPI ended */
static int open_executors, finalized;

static void check(int right, const char* rule) {
  if (right) return;
  fprintf(stderr, "fake library: %s\n", rule);
  abort();
}

static void check_thread(void) {
  const pid_t thread = (pid_t)syscall(SYS_gettid);
  if (first_thread == 0) first_thread = thread;
  check(first_thread == thread, "another thread than that which opened the first executor");
}

#ifdef WITHOUT_EXECUTOR
#define NEED_EXECUTOR return fail(error, TRTGO_NOT_FOUND, __func__, "built without TensorRT-LLM's headers");
#else
#define NEED_EXECUTOR
#endif

int32_t trtgo_executor_open(trtgo_library* library, const trtgo_executor_options* options, trtgo_executor** out,
                            trtgo_error** error) {
  NEED_EXECUTOR
  const char* const operation = "Executor";
  check(library != NULL && options->struct_size == sizeof(*options), "options of another size");
  check_thread();
  check(open_executors == 0, "two executors");
  if (finalized) return fail(error, TRTGO_INVALID, operation, "MPI was finalised");
  if (strstr(options->engine_dir, "refused") != NULL) {
    return fail(error, TRTGO_INVALID, operation,
                "[TensorRT-LLM][ERROR] Assertion failed: d == a + length (/src/a.h:93)\n1 0x7f");
  }
  trtgo_executor* x = calloc(1, sizeof(*x));
  x->leader = strstr(options->engine_dir, "follower") == NULL;
  x->max_queue_size = INT64_MAX;
  x->calls = open_memstream(&x->log, &x->log_size);
  fprintf(x->calls, ",\"open %s %s", options->engine_dir, options->plugins == NULL ? "-" : options->plugins);
  for (int32_t i = 0; i < options->num_settings; i++) {
    const trtgo_field* f = &options->settings[i];
    if (strcmp(f->name, "unknown") == 0) {
      fclose(x->calls);
      free(x->log);
      free(x);
      return fail(error, TRTGO_INVALID, operation, "there is no setting unknown");
    }
    if (strcmp(f->name, "maxQueueSize") == 0) x->max_queue_size = *(const int64_t*)f->data;
    print_field(x->calls, f);
  }
  fprintf(x->calls, "\"");
  pthread_mutex_init(&x->mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&x->changed, &monotonic);
  open_executors++;
  *out = x;
  return TRTGO_OK;
}

int32_t trtgo_executor_is_leader(const trtgo_executor* executor) { return executor->leader; }

static int64_t setting(const trtgo_request* r, const char* name, int64_t otherwise) {
  for (int32_t i = 0; i < r->num_settings; i++) {
    if (strcmp(r->settings[i].name, name) == 0) return *(const int64_t*)r->settings[i].data;
  }
  return otherwise;
}

static request* new_request(trtgo_executor* x, const trtgo_request* r) {
  request* q = calloc(1, sizeof(*q));
  q->id = ++x->last_id;
  q->client_id = r->client_id;
  q->first = r->tokens[0];
  q->last = r->tokens[r->num_tokens - 1];
  q->num_prompt = r->num_tokens;
  q->max_tokens = r->max_tokens;
  q->beams = setting(r, "beamWidth", 1);
  q->log_probs = setting(r, "returnLogProbs", 0) != 0;
  q->context_logits = setting(r, "returnContextLogits", 0) != 0;
  q->generation_logits = setting(r, "returnGenerationLogits", 0) != 0;
  q->perf_metrics = setting(r, "returnPerfMetrics", 0) != 0;
  fprintf(x->calls, ",\"enqueue %llu for %llu max=%d prompt=", (unsigned long long)q->id,
          (unsigned long long)q->client_id, q->max_tokens);
  for (int32_t i = 0; i < r->num_tokens; i++) fprintf(x->calls, "%s%d", i == 0 ? "" : ",", r->tokens[i]);
  for (int32_t i = 0; i < r->num_settings; i++) print_field(x->calls, &r->settings[i]);
  if (r->embedding_bias.data != NULL) {
    const trtgo_array* bias = &r->embedding_bias;
    fprintf(x->calls, " bias=%s[%lld]:%g", bias->type, (long long)bias->dims[0], (double)*(const float*)bias->data);
  }
  fprintf(x->calls, "\"");
  return q;
}

static int32_t enqueue(trtgo_executor* x, const trtgo_request* r, uint64_t* id, trtgo_error** error) {
  const char* const operation = "enqueueRequest";
  check(x->leader, "enqueue where this is not the leader");
  if (x->draining || x->down) return fail(error, TRTGO_CLOSED, operation, "it takes no more requests");
  if (r->num_tokens == 0) return fail(error, TRTGO_INVALID, "Request", "the prompt is empty");
  if (x->num_live >= x->max_queue_size) {
    return fail(error, TRTGO_INVALID, operation, "Maximum queue size of %lld has been reached, please try again later",
                (long long)x->max_queue_size);
  }
  for (int32_t i = 0; i < r->num_settings; i++) {
    if (strcmp(r->settings[i].name, "unknown") == 0) {
      return fail(error, TRTGO_INVALID, "Request", "there is no setting unknown");
    }
  }
  request** end = &x->live;
  while (*end != NULL) end = &(*end)->next;
  *end = new_request(x, r);
  x->num_live++;
  *id = (*end)->id;
  return TRTGO_OK;
}

int32_t trtgo_executor_enqueue(trtgo_executor* executor, const trtgo_request* request, uint64_t* id,
                               trtgo_error** error) {
  NEED_EXECUTOR
  check(request->struct_size == sizeof(*request), "a request of another size");
  executor->running++;
  pthread_mutex_lock(&executor->mutex);
  const int32_t status = enqueue(executor, request, id, error);
  pthread_cond_broadcast(&executor->changed);
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  return status;
}

int32_t trtgo_executor_cancel(trtgo_executor* executor, uint64_t id, trtgo_error** error) {
  NEED_EXECUTOR(void) error;
  executor->running++;
  pthread_mutex_lock(&executor->mutex);
  for (request* q = executor->live; q != NULL; q = q->next) {
    if (q->id == id) q->cancelled = 1;
  }
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  return TRTGO_OK;
}

/* Memory that belongs to output i of a batch. */
static void* keep(trtgo_outputs* batch, int32_t i, size_t bytes) {
  batch->sizes[i] = bytes;
  return batch->memory[i] = calloc(1, bytes);
}

static trtgo_array logits(float* values, int64_t rows, int64_t columns, float first) {
  trtgo_array a = {values, "FLOAT", 2, {rows, kVocab, 0, 0}};
  if (columns != 0) a = (trtgo_array){values, "FLOAT", 3, {rows, columns, kVocab, 0}};
  for (int64_t i = 0; i < rows * (columns == 0 ? 1 : columns) * kVocab; i++) values[i] = first + (float)i;
  return a;
}

/* Fills in the output of one beam. */
static void produce(trtgo_outputs* batch, int32_t i, const request* q, int32_t beam) {
  trtgo_output* o = &batch->list[i];
  o->id = q->id;
  o->client_id = q->client_id;
  o->scheduled = o->first_token = o->last_token = -1;
  if (q->first == -1 || q->first == -6) {
    o->error = strcpy(keep(batch, i, 64), q->first == -6 ? "" : "Prompt length (9) exceeds maximum input length (8).");
    o->final = 1;
    return;
  }
  o->beam = beam;
  o->num_beams = (int32_t)q->beams;
  o->final = q->cancelled || q->produced == q->max_tokens;
  if (q->cancelled) {
    o->finish_reason = 5;
    return;
  }
  o->finish_reason = o->final ? 3 : 0;
  const size_t log_probs = q->log_probs ? (size_t)q->produced : 0;
  const size_t rows = q->context_logits || q->generation_logits ? (size_t)(q->num_prompt + q->beams) : 0;
  int32_t* token = keep(batch, i, 4 * (1 + log_probs + rows * kVocab));
  float* numbers = (float*)(token + 1);
  *token = q->last + q->produced + 100 * beam;
  o->tokens = token;
  o->num_tokens = 1;
  if (q->log_probs) {
    o->log_probs = numbers;
    o->num_log_probs = q->produced;
    for (int32_t k = 0; k < q->produced; k++, o->cum_log_prob += *numbers++) *numbers = -0.5F * (float)(k + 1);
  }
  if (q->context_logits) o->context_logits = logits(numbers, q->num_prompt, 0, 0.25F);
  if (q->first == -3) o->context_logits.type = "INT8";
  if (q->first == -4) o->context_logits.type = "HALF";
  if (q->first == -5) o->context_logits.type = "BF16";
  if (q->generation_logits) o->generation_logits = logits(numbers + (size_t)q->num_prompt * kVocab, 1, q->beams, 0.5F);
  if (q->perf_metrics) {
    o->reused_blocks = 2;
    o->scheduled = 10;
    o->first_token = 20;
    o->last_token = 20 + q->produced;
  }
}

static trtgo_outputs* step(trtgo_executor* x) {
  int64_t num = 0;
  for (request* q = x->live; q != NULL; q = q->next) num += q->beams;
  trtgo_outputs* batch = calloc(1, sizeof(*batch));
  batch->executor = x;
  batch->list = calloc((size_t)num + 1, sizeof(*batch->list));
  batch->memory = calloc((size_t)num + 1, sizeof(*batch->memory));
  batch->sizes = calloc((size_t)num + 1, sizeof(*batch->sizes));
  request** at = &x->live;
  while (*at != NULL) {
    request* q = *at;
    if (!q->cancelled) q->produced++;
    int final = 0;
    for (int32_t beam = 0; beam < q->beams; beam++) {
      produce(batch, batch->num, q, beam);
      final = batch->list[batch->num++].final;
    }
    if (final) {
      *at = q->next;
      free(q);
      x->num_live--;
    } else {
      at = &q->next;
    }
  }
  return batch;
}

static int32_t await(trtgo_executor* x, int32_t timeout_ms, trtgo_outputs** batch, trtgo_error** error) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += timeout_ms % 1000 * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  while (x->live == NULL && !x->draining) {
    if (pthread_cond_timedwait(&x->changed, &x->mutex, &until) == ETIMEDOUT) return TRTGO_OK;
  }
  if (x->live == NULL) return fail(error, TRTGO_CLOSED, "awaitResponses", "all requests have ended");
  if (x->live->first == -2) {
    x->live->first = 0;
    return fail(error, TRTGO_INTERNAL, "awaitResponses", "CUDA error: an illegal memory access was encountered");
  }
  *batch = step(x);
  return TRTGO_OK;
}

int32_t trtgo_executor_await(trtgo_executor* executor, int32_t timeout_ms, trtgo_outputs** batch,
                             const trtgo_output** list, int32_t* num, trtgo_error** error) {
  NEED_EXECUTOR
  check(atomic_exchange(&executor->awaiting, 1) == 0, "two threads await");
  executor->running++;
  pthread_mutex_lock(&executor->mutex);
  const int32_t status = await(executor, timeout_ms, batch, error);
  if (status == TRTGO_OK && *batch != NULL) {
    *list = (*batch)->list;
    *num = (*batch)->num;
    executor->batches++;
  }
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  executor->awaiting = 0;
  return status;
}

void trtgo_outputs_free(trtgo_outputs* batch) {
  if (batch == NULL) return;
  batch->executor->batches--;
  for (int32_t i = 0; i < batch->num; i++) {
    if (batch->memory[i] != NULL) memset(batch->memory[i], 0xA5, batch->sizes[i]); /* for who still has views */
    free(batch->memory[i]);
  }
  memset(batch->list, 0xA5, (size_t)batch->num * sizeof(*batch->list));
  free(batch->list);
  free(batch->memory);
  free(batch->sizes);
  free(batch);
}

/* The calls since the last time, or the live requests. */
int32_t trtgo_executor_stats(trtgo_executor* executor, int32_t requests, const char** json, trtgo_error** error) {
  NEED_EXECUTOR(void) error;
  check(atomic_exchange(&executor->asking[requests != 0], 1) == 0, "two threads ask for statistics");
  executor->running++;
  pthread_mutex_lock(&executor->mutex);
  char** text = requests ? &executor->requests : &executor->iterations;
  free(*text);
  *text = NULL;
  size_t size = 0;
  FILE* to = open_memstream(text, &size);
  if (requests) {
    fprintf(to, "[");
    for (request* q = executor->live; q != NULL; q = q->next) {
      fprintf(to, "%s{\"id\":%llu}", q == executor->live ? "" : ",", (unsigned long long)q->id);
    }
    fprintf(to, "]");
  } else {
    fflush(executor->calls);
    fprintf(to, "[%s]", executor->log_size == 0 ? "" : executor->log + 1);
    rewind(executor->calls);
  }
  fclose(to);
  *json = *text;
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  executor->asking[requests != 0] = 0;
  return TRTGO_OK;
}

int32_t trtgo_executor_drain(trtgo_executor* executor, trtgo_error** error) {
  NEED_EXECUTOR(void) error;
  executor->running++;
  pthread_mutex_lock(&executor->mutex);
  executor->draining = 1;
  for (request* q = executor->live; q != NULL; q = q->next) q->cancelled = 1;
  pthread_cond_broadcast(&executor->changed);
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  return TRTGO_OK;
}

int32_t trtgo_executor_shutdown(trtgo_executor* executor, trtgo_error** error) {
  NEED_EXECUTOR
  check_thread();
  executor->running++;
  if (!executor->leader) usleep(20000);
  pthread_mutex_lock(&executor->mutex);
  const int early = executor->leader && (!executor->draining || executor->live != NULL);
  if (!early) executor->down = 1;
  pthread_mutex_unlock(&executor->mutex);
  executor->running--;
  return early ? fail(error, TRTGO_INVALID, "shutdown", "the executor is not drained") : TRTGO_OK;
}

void trtgo_executor_free(trtgo_executor* executor) {
  if (executor == NULL) return;
  check_thread();
  check(executor->running == 0, "freed during a call");
  check(executor->batches == 0, "freed before its outputs");
  while (executor->live != NULL) {
    request* next = executor->live->next;
    free(executor->live);
    executor->live = next;
  }
  fclose(executor->calls);
  free(executor->log);
  free(executor->iterations);
  free(executor->requests);
  free(executor);
  open_executors--;
}

int32_t trtgo_finalize(trtgo_error** error) {
  NEED_EXECUTOR
  check_thread();
  if (open_executors != 0) return fail(error, TRTGO_INVALID, "MPI_Finalize", "an executor is open");
  finalized = 1;
  return TRTGO_OK;
}
