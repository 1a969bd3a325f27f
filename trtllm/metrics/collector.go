package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trtgo/trtgo/trtllm"
)

// Collector is a [prometheus.Collector] over engines. It is safe for concurrent use.
type Collector struct {
	engines  map[string]source
	names    []string // of engines, in order
	requests *requests
	stops    []func()
}

// source is what is asked of an engine.
type source interface {
	Stats() trtllm.Stats
	Observe(func(trtllm.RequestSummary)) (stop func())
}

// NewCollector returns a collector over engines; the keys are the values of the label
// engine. The engines stay the caller's, who may close them before or after the
// collector: a closed engine shows what it has done. Two collectors over one engine
// both see all of it.
func NewCollector(engines map[string]*trtllm.Engine) *Collector {
	sources := map[string]source{}
	for name, e := range engines {
		sources[name] = e
	}
	return newCollector(sources)
}

func newCollector(engines map[string]source) *Collector {
	c := &Collector{engines: engines, names: slices.Sorted(maps.Keys(engines)), requests: newRequests()}
	for _, name := range c.names {
		c.stops = append(c.stops, engines[name].Observe(c.requests.observer(name)))
	}
	return c
}

// Close stops observing the requests of the engines. Unregister the collector first;
// one that lives as long as its engines need not be closed.
func (c *Collector) Close() {
	for _, stop := range c.stops {
		stop()
	}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for i := range statistics {
		out <- statistics[i].desc
	}
	for _, m := range c.requests.all() {
		m.Describe(out)
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, name := range c.names {
		stats := c.engines[name].Stats()
		for i := range statistics {
			statistics[i].collect(&stats, name, out)
		}
	}
	for _, m := range c.requests.all() {
		m.Collect(out)
	}
}
