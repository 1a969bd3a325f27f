package bigmodel

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tarFile is an archive as NeMo 1 writes it: Python's tarfile in the PAX format,
// names that begin with ./, directories before what they hold, sorted.
type tarFile struct{ files []record }

// WriteTo implements io.WriterTo; the count is left out.
func (a *tarFile) WriteTo(w io.Writer) (int64, error) {
	slices.SortFunc(a.files, func(x, y record) int {
		return slices.Compare(strings.Split(x.name, "/"), strings.Split(y.name, "/"))
	})
	out := tar.NewWriter(w)
	header := func(name string, size int64) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Size: size, Mode: 0o644, Format: tar.FormatPAX, ModTime: time.Unix(1_718_000_000, 500_000_000)}
		if size < 0 {
			h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, 0o755
		}
		return out.WriteHeader(h)
	}
	if err := header("", -1); err != nil {
		return 0, err
	}
	written := map[string]bool{}
	for _, f := range a.files {
		for i := range f.name {
			if dir := f.name[:i]; f.name[i] == '/' && !written[dir] {
				written[dir] = true
				if err := header(dir+"/", -1); err != nil {
					return 0, err
				}
			}
		}
		if err := header(f.name, f.size); err != nil {
			return 0, err
		}
		if _, err := f.WriterTo.WriteTo(out); err != nil {
			return 0, err
		}
	}
	return 0, out.Close()
}

// nemo is a NeMo 1 archive with a distributed checkpoint.
func (s Shape) nemo(f Form, ranks int64) (*tarFile, error) {
	if s.VocabSize%ranks != 0 || s.NumKeyValueHeads%ranks != 0 || s.NumAttentionHeads%s.NumKeyValueHeads != 0 || s.IntermediateSize%ranks != 0 {
		return nil, fmt.Errorf("%d tensor-parallel ranks do not divide %+v", ranks, s)
	}
	backend := string(f)
	common := emptyTorchZip("common")
	a := &tarFile{[]record{
		textRecord("model_config.yaml", string(s.configYAML(int(ranks)))),
		textRecord("model_weights/metadata.json", fmt.Sprintf(`{"sharded_backend": %q, "sharded_backend_version": 1, "common_backend": "torch", "common_backend_version": 1}`, backend)),
		{"model_weights/common.pt", common.size(), common},
	}}
	if f == Zarr {
		return a, s.addZarr(a, ranks)
	}
	s.addTorchDist(a, ranks)
	return a, nil
}

// prefix is before every parameter's name in a NeMo 1 checkpoint.
const prefix = "model."

// addZarr adds a directory for each parameter, with a file for each chunk
// (megatron/core/dist_checkpointing/strategies/zarr.py, core_v0.7.0).
func (s Shape) addZarr(a *tarFile, ranks int64) error {
	for _, p := range s.parameters() {
		dir, chunks := "model_weights/"+prefix+p.name+"/", p.chunks(ranks)
		metadata, err := json.MarshalIndent(map[string]any{
			"chunks": chunks[0].sizes, "compressor": nil, "dtype": "bfloat16", "fill_value": nil, "filters": nil,
			"order": "C", "shape": p.global(), "zarr_format": 2,
		}, "", "    ")
		if err != nil {
			return err
		}
		a.files = append(a.files, textRecord(dir+".zarray", string(metadata)))
		for _, c := range chunks {
			var index []string
			for _, n := range c.index {
				index = append(index, strconv.FormatInt(n, 10))
			}
			a.files = append(a.files, record{dir + strings.Join(index, "."), c.content.size(), c.content})
		}
	}
	return nil
}
