package bigmodel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// Form is how a checkpoint is stored.
type Form string

// The forms in which the Minitron family is published.
const (
	Safetensors Form = "safetensors" // Hugging Face, in shards
	Pickle      Form = "bin"         // Hugging Face, one pytorch_model.bin
	Zarr        Form = "zarr"        // .nemo with a zarr model_weights/
	TorchDist   Form = "torch_dist"  // .nemo with a torch_dist model_weights/
)

// Forms lists them all.
func Forms() []Form { return []Form{Safetensors, Pickle, Zarr, TorchDist} }

// Options may be left empty.
type Options struct {
	// TensorParallel is how many ranks saved a .nemo; 0 means 1. It has to divide
	// heads, key-value heads, MLP and vocabulary.
	TensorParallel int
	// ShardBytes bounds a shard of safetensors; 0 means transformers' 5 GB.
	ShardBytes int64
}

// Write writes a checkpoint into the directory dir, which has to exist, and
// returns the path to export: a new directory in dir, or a .nemo file.
func Write(dir string, s Shape, f Form, o Options) (string, error) {
	switch f {
	case Safetensors, Pickle:
		path := filepath.Join(dir, string(f))
		if err := os.Mkdir(path, 0o777); err != nil {
			return "", err
		}
		config, err := s.configJSON()
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(path, "config.json"), config, 0o666); err != nil {
			return "", err
		}
		if f == Safetensors {
			return path, s.writeShards(path, o)
		}
		return path, writeFile(filepath.Join(path, "pytorch_model.bin"), s.stateDict())
	case Zarr, TorchDist:
		path := filepath.Join(dir, string(f)+".nemo")
		archive, err := s.nemo(f, int64(max(1, o.TensorParallel)))
		if err != nil {
			return "", err
		}
		return path, writeFile(path, archive)
	}
	return "", fmt.Errorf("form %q is none of %v", f, Forms())
}

func writeFile(path string, content io.WriterTo) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, pieceBytes)
	_, err = content.WriteTo(w)
	return errors.Join(err, w.Flush(), file.Close())
}

// stateDict is pytorch_model.bin: torch.save of an OrderedDict.
func (s Shape) stateDict() *torchZip {
	list := s.tensors()
	p := newPickler(2)
	p.orderedDict()
	var storages []content
	p.items(len(list), 's', 'u', func(i int) {
		p.str(list[i].name)
		p.tensor(fmt.Sprint(i), list[i].shape)
		storages = append(storages, whole(list[i]))
	})
	return newTorchZip("pytorch_model", p.end(), storages)
}

// writeShards fills each shard with tensors until the next would not fit.
func (s Shape) writeShards(dir string, o Options) error {
	most := o.ShardBytes
	if most == 0 {
		most = 5_000_000_000
	}
	var shards [][]tensor
	filled := int64(0)
	for _, t := range s.tensors() {
		if len(shards) == 0 || filled+t.bytes() > most {
			shards, filled = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		filled += t.bytes()
	}
	if len(shards) == 1 {
		return writeShard(filepath.Join(dir, safetensors.SingleName), shards[0])
	}
	files := map[string]string{}
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := writeShard(filepath.Join(dir, name), shard); err != nil {
			return err
		}
		for _, t := range shard {
			files[t.name] = name
		}
	}
	index, err := json.MarshalIndent(map[string]any{"metadata": map[string]int64{"total_size": s.Bytes()}, "weight_map": files}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, safetensors.IndexName), index, 0o666)
}

func writeShard(path string, shard []tensor) error {
	var infos []safetensors.Info
	for _, t := range shard {
		infos = append(infos, safetensors.Info{Name: t.name, Dtype: safetensors.BF16, Shape: t.shape})
	}
	w, err := safetensors.Create(path, infos, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	for _, t := range shard {
		if _, err := whole(t).WriteTo(&place{w: w, name: t.name}); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	return w.Close()
}

// place writes a tensor from its beginning on.
type place struct {
	w    *safetensors.Writer
	name string
	at   int64
}

func (p *place) Write(data []byte) (int, error) {
	if err := p.w.WriteAt(p.name, data, p.at); err != nil {
		return 0, err
	}
	p.at += int64(len(data))
	return len(data), nil
}
