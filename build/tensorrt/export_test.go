package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// InputNames are the names of the table of inputs.
func InputNames() []string {
	var names []string
	for _, row := range inputTable {
		names = append(names, row.name)
	}
	return names
}

// CosSin is a rotary table.
func CosSin(r *network.Rotary, positions int) []float32 { return cosSin(r, positions) }

// CollectiveFields are those of the plugins between ranks, for a group, or a peer.
func (r *Release) CollectiveFields(group []int, peer int, dtype graph.DataType) map[string][]graph.Field {
	call := collective{group, peer, dtype}
	return map[string][]graph.Field{
		"AllReduce": fieldsOf(r.allReduce, call), "AllGather": fieldsOf(r.allGather, call), "Send": fieldsOf(r.send, call), "Recv": fieldsOf(r.recv, call),
	}
}

func fieldsOf[T any](table []pluginField[T], call T) []graph.Field {
	var fields []graph.Field
	for _, f := range table {
		fields = append(fields, f.field(call))
	}
	return fields
}
