package metrics

import (
	"go/build"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
)

// documented are the metrics of the package's documentation.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(trtllm_[a-z0-9_]+)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// shown are the lines that Prometheus gets of one metric, without its help.
func shown(t *testing.T, c prometheus.Collector, name string) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	response := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, response.Code)
	var lines []string
	for line := range strings.Lines(response.Body.String()) {
		if strings.HasPrefix(line, "# TYPE "+name+" ") || strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+"_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// histogram gives count and sum of a histogram of engine "a".
func histogram(t *testing.T, c *Collector, name string) (count, sum float64) {
	t.Helper()
	values := map[string]float64{}
	for _, line := range shown(t, c, name) {
		key, value, _ := strings.Cut(line, " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[key] = v
		}
	}
	require.Contains(t, values, name+`_sum{engine="a"}`)
	return values[name+`_count{engine="a"}`], values[name+`_sum{engine="a"}`]
}

// Who imports trtllm does not get Prometheus with it.
func TestOutsideOfTheImportGraph(t *testing.T) {
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		require.NotRegexp(t, `^github\.com/prometheus/`, path)
		if !regexp.MustCompile(`^github\.com/trtgo/`).MatchString(path) {
			return
		}
		p, err := build.Import(path, ".", 0)
		require.NoError(t, err)
		for _, next := range p.Imports {
			visit(next)
		}
	}
	visit("github.com/trtgo/trtgo/trtllm")
	require.True(t, seen["github.com/trtgo/trtgo/internal/inflight"])
	require.False(t, seen["github.com/trtgo/trtgo/trtllm/metrics"])
}
