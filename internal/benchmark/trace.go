package benchmark

import (
	"encoding/json"
	"fmt"
	"io"
)

// A traceEvent is one of the trace-event format that browsers' viewers and Perfetto
// open: ph "X" is a complete event, "M" names a process or thread. Times are
// microseconds.
type traceEvent struct {
	Name      string         `json:"name"`
	Category  string         `json:"cat,omitempty"`
	Phase     string         `json:"ph"`
	Time      float64        `json:"ts"`
	Duration  *float64       `json:"dur,omitempty"`
	ProcessID int            `json:"pid"`
	ThreadID  int            `json:"tid"`
	Args      map[string]any `json:"args"`
}

// WriteTrace writes the last observed step of each case of a report that was measured
// with Options.Operations: a process for each case, in it a row of operations with what
// they cost, and a row for each thread.
func WriteTrace(w io.Writer, r *Report) error {
	events := []traceEvent{}
	for i := range r.Cases {
		events = append(events, traceCase(i+1, &r.Cases[i])...)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(map[string]any{
		"displayTimeUnit": "ms", "traceEvents": events,
		"otherData": map[string]any{"engine": r.Name, "isa": r.ISA, "precision": r.Precision, "machine": r.Machine},
	})
}

func traceCase(process int, c *Result) []traceEvent {
	name := func(what string, thread int, text string) traceEvent {
		return traceEvent{Name: what, Phase: "M", ProcessID: process, ThreadID: thread, Args: map[string]any{"name": text}}
	}
	events := []traceEvent{name("process_name", 0, c.Label()+", "+threadsText(c.Threads)), name("thread_name", 0, "operations")}
	end := 0.0
	for i := range c.Operations {
		o := &c.Operations[i]
		begin := max(o.Begin*1e6, end) // one follows the other, though a median may be longer than that step's
		duration := o.Seconds * 1e6
		end = begin + duration
		args := map[string]any{"share_of_step": o.OfStep, "bytes": o.Bytes, "operations": o.Operations}
		if o.Bound != "" {
			args["gb_per_second"], args["gflop_per_second"] = o.Bytes/o.Seconds/1e9, o.Operations/o.Seconds/1e9
			args["of_limit"], args["bound"] = o.OfLimit, o.Bound
		}
		events = append(events, traceEvent{
			Name: o.Name, Category: o.Kind, Phase: "X", Time: begin, Duration: &duration, ProcessID: process, Args: args,
		})
	}
	workers := map[int]bool{}
	for _, s := range c.spans {
		if thread := s.worker + 1; !workers[thread] {
			workers[thread] = true
			events = append(events, name("thread_name", thread, fmt.Sprintf("thread %d", thread)))
		}
		o, duration := &c.Operations[s.operation], float64(s.duration)/1e3
		events = append(events, traceEvent{
			Name: o.Name, Category: o.Kind, Phase: "X", Time: float64(s.begin) / 1e3, Duration: &duration, ProcessID: process, ThreadID: s.worker + 1,
			Args: map[string]any{"busy_microseconds": float64(s.busy) / 1e3},
		})
	}
	return events
}

// Label names the case for people, without its threads.
func (c Case) Label() string {
	if c.Phase == Prefill {
		return fmt.Sprintf("prefill %d", c.Tokens)
	}
	return fmt.Sprintf("decode, batch %d, context %d", c.BatchSize, c.Context)
}

func threadsText(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}
