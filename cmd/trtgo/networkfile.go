package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/outputfile"
)

// writeNetworks is --network-only: the recorded network, or an array of those of all ranks.
func writeNetworks(c *cli.Context, options build.Options, log *slog.Logger) error {
	networks, report, err := build.Networks(c.Context, options)
	if err != nil {
		return notCheckpoint(c, err)
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	path := c.String("network-only")
	if path == "-" {
		return recordNetworks(c.App.Writer, networks)
	}
	f, err := outputfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard() // does nothing after Commit
	if err := recordNetworks(f, networks); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	layers, ranks := 0, "1 rank"
	for _, net := range networks {
		layers += len(net.Layers)
	}
	if n := len(networks); n > 1 {
		ranks = fmt.Sprintf("%d ranks", n)
	}
	log.Info(fmt.Sprintf("wrote the TensorRT network of %s, %d layers: %s; nothing was built", ranks, layers, path))
	if c.Bool("json") {
		return printJSON(c, newJSONEngine(c, report))
	}
	return nil
}

func recordNetworks(w io.Writer, networks []*graph.Network) error {
	if len(networks) == 1 {
		return networks[0].WriteJSON(w)
	}
	for i, net := range networks {
		separator := ",\n"
		if i == 0 {
			separator = "[\n"
		}
		var text bytes.Buffer
		if err := net.WriteJSON(&text); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", separator, bytes.TrimRight(text.Bytes(), "\n")); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\n]\n")
	return err
}
