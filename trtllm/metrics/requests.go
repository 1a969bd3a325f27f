package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trtgo/trtgo/trtllm"
)

// requests are the metrics of requests that ended.
type requests struct {
	success, errors                           *prometheus.CounterVec
	queueTime, firstToken, perToken, endToEnd *prometheus.HistogramVec
}

// Buckets of TensorRT-LLM's collector, in seconds.
var (
	longBuckets       = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	firstTokenBuckets = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	perTokenBuckets   = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
)

func newRequests() *requests {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "trtllm_" + name, Help: help}, []string{"engine", label})
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "trtllm_" + name, Help: help, Buckets: buckets}, []string{"engine"})
	}
	return &requests{
		success:    counter("request_success_total", "Requests that ended without an error, by the finish reason of the first sequence.", "finished_reason"),
		errors:     counter("request_error_total", "Requests that ended with an error, or were refused with one, by its code.", "code"),
		queueTime:  histogram("request_queue_time_seconds", "Time until a request begins to run.", longBuckets),
		firstToken: histogram("time_to_first_token_seconds", "Time until a request's first token.", firstTokenBuckets),
		perToken:   histogram("time_per_output_token_seconds", "Mean time between the tokens of a sequence.", perTokenBuckets),
		endToEnd:   histogram("e2e_request_latency_seconds", "Time until a request's last token.", longBuckets),
	}
}

func (r *requests) all() []prometheus.Collector {
	return []prometheus.Collector{r.success, r.errors, r.queueTime, r.firstToken, r.perToken, r.endToEnd}
}

// observer counts the requests of an engine.
func (r *requests) observer(engine string) func(trtllm.RequestSummary) {
	queueTime, firstToken := r.queueTime.WithLabelValues(engine), r.firstToken.WithLabelValues(engine)
	perToken, endToEnd := r.perToken.WithLabelValues(engine), r.endToEnd.WithLabelValues(engine)
	return func(s trtllm.RequestSummary) {
		r.count(engine, &s)
		scheduled, first, last := times(s.Sequences)
		observe(queueTime, scheduled)
		observe(firstToken, first)
		observe(endToEnd, last)
		for _, q := range s.Sequences {
			if gaps := q.OutputTokens - 1; gaps > 0 {
				perToken.Observe((q.Timing.LastToken - q.Timing.FirstToken).Seconds() / float64(gaps))
			}
		}
	}
}

func (r *requests) count(engine string, s *trtllm.RequestSummary) {
	var failure *trtllm.Error
	switch {
	case errors.As(s.Err, &failure):
		r.errors.WithLabelValues(engine, string(failure.Code)).Inc()
	case len(s.Sequences) > 0:
		r.success.WithLabelValues(engine, s.Sequences[0].FinishReason.String()).Inc()
	}
}

// times are when a request began to run, had its first and its last token. What has
// not happened is 0.
func times(sequences []trtllm.SequenceSummary) (scheduled, first, last time.Duration) {
	earlier := func(t, than time.Duration) time.Duration {
		if than == 0 || t > 0 && t < than {
			return t
		}
		return than
	}
	for _, s := range sequences {
		scheduled = earlier(s.Timing.Scheduled, scheduled)
		first = earlier(s.Timing.FirstToken, first)
		last = max(last, s.Timing.LastToken)
	}
	return scheduled, first, last
}

// observe counts a time, if what it is the time of has happened.
func observe(o prometheus.Observer, d time.Duration) {
	if d > 0 {
		o.Observe(d.Seconds())
	}
}
