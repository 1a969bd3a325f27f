package trtllm

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// fill sets every number, text and truth of a struct to something of its own.
func fill(v reflect.Value, next *int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), next)
		fill(v.Index(1), next)
	case reflect.String:
		*next++
		v.SetString(string(rune('a' + *next)))
	case reflect.Bool:
		v.SetBool(true)
	default:
		*next++
		if v.CanInt() {
			v.SetInt(*next)
		} else if v.CanUint() {
			v.SetUint(uint64(*next))
		} else {
			v.SetFloat(float64(*next) + 0.5)
		}
	}
}

// requireSameFields compares two structs field by field, by name.
func requireSameFields(t *testing.T, want, got any) {
	t.Helper()
	var fields func(v reflect.Value) any
	fields = func(v reflect.Value) any {
		switch v.Kind() {
		case reflect.Struct:
			m := map[string]any{}
			for i := range v.NumField() {
				m[v.Type().Field(i).Name] = fields(v.Field(i))
			}
			return m
		case reflect.Pointer:
			return fields(v.Elem())
		case reflect.Slice:
			list := []any{}
			for i := range v.Len() {
				list = append(list, fields(v.Index(i)))
			}
			return list
		default:
			if v.CanInt() {
				return v.Int()
			}
			return v.Interface()
		}
	}
	require.Equal(t, fields(reflect.ValueOf(want)), fields(reflect.ValueOf(got)))
}

// Nothing of the executor's statistics is lost, and nothing stands in another's place.
func TestStatsAreTheExecutors(t *testing.T) {
	x := &scripted{}
	n := int64(0)
	fill(reflect.ValueOf(&x.stats).Elem(), &n)
	x.iterations = make([]executor.IterationStats, 3)
	x.requestStats = make([]executor.RequestStatsPerIteration, 3)
	for i := range 3 {
		fill(reflect.ValueOf(&x.iterations[i]).Elem(), &n)
		fill(reflect.ValueOf(&x.requestStats[i]).Elem(), &n)
	}
	iterations, requests := slices.Clone(x.iterations), slices.Clone(x.requestStats)
	e := scriptedEngine(t, x)
	requireSameFields(t, x.stats, e.Stats())
	requireSameFields(t, iterations, e.IterationStats())
	requireSameFields(t, requests, e.RequestStats())
	require.Nil(t, e.IterationStats(), "each one is returned once")
	require.Nil(t, e.RequestStats())
	require.NoError(t, e.Close())
	requireSameFields(t, x.stats, e.Stats())
}

// The JSON is TensorRT-LLM's, name by name, as its JsonSerialization writes it.
func TestStatsJSON(t *testing.T) {
	names := func(v any) []string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(text, &fields))
		var list []string
		for name := range fields {
			list = append(list, name)
		}
		return list
	}
	require.ElementsMatch(t, []string{
		"timestamp", "iter", "iterLatencyMS", "newActiveRequestsQueueLatencyMS", "numNewActiveRequests", "numActiveRequests", "numQueuedRequests",
		"numCompletedRequests", "maxNumActiveRequests", "maxBatchSizeStatic", "maxBatchSizeTunerRecommended", "maxBatchSizeRuntime",
		"maxNumTokensStatic", "maxNumTokensTunerRecommended", "maxNumTokensRuntime", "gpuMemUsage", "cpuMemUsage", "pinnedMemUsage",
		"kvCacheStats", "inflightBatchingStats",
	}, names(IterationStats{KVCacheStats: &KVCacheStats{}, InflightBatchingStats: &InflightBatchingStats{}}))
	require.ElementsMatch(t, []string{
		"maxNumBlocks", "freeNumBlocks", "usedNumBlocks", "tokensPerBlock", "allocTotalBlocks", "allocNewBlocks", "reusedBlocks", "missedBlocks", "cacheHitRate",
	}, names(KVCacheStats{}))
	require.ElementsMatch(t, []string{
		"numScheduledRequests", "numContextRequests", "numGenRequests", "numPausedRequests", "numCtxTokens", "microBatchId", "avgNumDecodedTokensPerIter",
	}, names(InflightBatchingStats{}))
	require.ElementsMatch(t, []string{
		"id", "stage", "contextPrefillPosition", "numGeneratedTokens", "avgNumDecodedTokensPerIter", "scheduled", "paused",
		"allocTotalBlocksPerRequest", "allocNewBlocksPerRequest", "reusedBlocksPerRequest", "missedBlocksPerRequest", "kvCacheHitRatePerRequest",
	}, names(RequestStats{}))
	require.ElementsMatch(t, []string{"iter", "requestStats"}, names(RequestStatsPerIteration{}))
	require.NotContains(t, names(IterationStats{}), "kvCacheStats")
}

func TestRequestStages(t *testing.T) {
	for stage, name := range map[RequestStage]string{
		StageQueued: "QUEUED", StageContext: "CONTEXT_IN_PROGRESS", StageGeneration: "GENERATION_IN_PROGRESS", StageComplete: "GENERATION_COMPLETE",
	} {
		text, err := json.Marshal(stage)
		require.NoError(t, err)
		require.Equal(t, `"`+name+`"`, string(text))
		var back RequestStage
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, stage, back)
	}
	require.Equal(t, "STAGE_1", RequestStage(1).String())
	var stage RequestStage
	require.ErrorContains(t, json.Unmarshal([]byte(`"DONE"`), &stage), `"DONE" is none of QUEUED`)
	require.Equal(t, []executor.RequestStage{executor.StageQueued, executor.StageContext, executor.StageGeneration, executor.StageComplete},
		[]executor.RequestStage{executor.RequestStage(StageQueued), executor.RequestStage(StageContext), executor.RequestStage(StageGeneration), executor.RequestStage(StageComplete)})
}
