package executor

import (
	"maps"
	"slices"
)

// Clone copies what a caller may change after Submit: all slices and the map.
func (r Request) Clone() Request {
	r.InputIDs = slices.Clone(r.InputIDs)
	r.EndIDs = slices.Clone(r.EndIDs)
	r.Sampling.Bias = maps.Clone(r.Sampling.Bias)
	r.Sampling.TopPResetIDs = slices.Clone(r.Sampling.TopPResetIDs)
	if early := r.Sampling.EarlyStopping; early != nil {
		value := *early
		r.Sampling.EarlyStopping = &value
	}
	lists := func(list [][]int32) [][]int32 {
		list = slices.Clone(list)
		for i := range list {
			list[i] = slices.Clone(list[i])
		}
		return list
	}
	r.StopSequences, r.BadSequences = lists(r.StopSequences), lists(r.BadSequences)
	return r
}
