package bigmodel

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// stored is a chunk of a parameter and where it lies.
type stored struct {
	key string
	chunk
	zip    *torchZip
	file   string
	offset int64
	length int64
}

// concatenation is a .distcp file: a zip of torch.save for each chunk.
type concatenation []*stored

// WriteTo implements io.WriterTo.
func (c concatenation) WriteTo(w io.Writer) (int64, error) {
	written := int64(0)
	for _, chunk := range c {
		n, err := chunk.zip.WriteTo(w)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// writers is how many files each rank writes, as Megatron-core does by default.
const writers = 2

// addTorchDist adds .metadata and each rank's files. Replicated parameters are
// rank 0's. A rank's chunks go by size to the file that is shorter, and lie there
// in that order.
func (s Shape) addTorchDist(a *tarFile, ranks int64) {
	list := s.parameters()
	chunks := make([][]*stored, len(list))
	ofRank := make([][]*stored, ranks)
	for i, p := range list {
		for n, c := range p.chunks(ranks) {
			x := &stored{key: prefix + p.name, chunk: c}
			pickle := newPickler(2)
			pickle.tensor("0", c.sizes)
			x.zip = newTorchZip("archive", pickle.end(), []content{c.content})
			x.length = x.zip.size()
			chunks[i] = append(chunks[i], x)
			rank := int64(0)
			if p.axis >= 0 {
				rank = int64(n) % ranks
			}
			ofRank[rank] = append(ofRank[rank], x)
		}
	}
	for rank, all := range ofRank {
		slices.SortStableFunc(all, func(x, y *stored) int { return cmp.Compare(y.length, x.length) })
		var files [writers]concatenation
		var sizes [writers]int64
		for _, x := range all {
			w := slices.Index(sizes[:], slices.Min(sizes[:]))
			x.file, x.offset = fmt.Sprintf("__%d_%d.distcp", rank, w), sizes[w]
			files[w] = append(files[w], x)
			sizes[w] += x.length
		}
		for w, file := range files {
			a.files = append(a.files, record{"model_weights/" + fmt.Sprintf("__%d_%d.distcp", rank, w), sizes[w], file})
		}
	}
	a.files = append(a.files, textRecord("model_weights/.metadata", string(metadata(list, chunks))))
}

const (
	metadataModule   = "torch.distributed.checkpoint.metadata"
	filesystemModule = "torch.distributed.checkpoint.filesystem"
)

// metadata is the pickle that says where everything is, as PyTorch 2.9 and
// megatron-core 0.14 write it.
func metadata(list []parameter, chunks [][]*stored) []byte {
	var flat []*stored
	for _, c := range chunks {
		flat = append(flat, c...)
	}
	p := newPickler(4)
	p.object(metadataModule, "Metadata",
		field{"state_dict_metadata", func() {
			p.dict(len(list), func(i int) {
				p.str(chunks[i][0].key)
				p.storageMetadata(list[i].global(), chunks[i])
			})
		}},
		field{"planner_data", p.none},
		field{"storage_data", func() {
			p.dict(len(flat), func(i int) { p.storageInfo(flat[i]) })
		}},
		field{"storage_meta", func() {
			p.object(metadataModule, "StorageMeta",
				field{"checkpoint_id", func() { p.str("model_weights") }},
				field{"save_id", func() { p.str("00000000-0000-4000-8000-000000000000") }},
				field{"load_id", p.none},
				field{"modules", func() { p.list(0, nil) }})
		}},
		field{"version", func() { p.str("1.0.0") }})
	return p.end()
}

func (p *pickler) none() { p.op('N') }

// size writes a torch.Size.
func (p *pickler) size(dims []int64) {
	p.global("torch", "Size")
	p.tuple(1, func() { p.integers(dims) })
	p.op('R')
	p.put()
}

// storageMetadata describes a tensor and its chunks.
func (p *pickler) storageMetadata(shape []int64, chunks []*stored) {
	p.object(metadataModule, "TensorStorageMetadata",
		field{"properties", p.properties},
		field{"size", func() { p.size(shape) }},
		field{"chunks", func() {
			p.list(len(chunks), func(i int) {
				p.object(metadataModule, "ChunkStorageMetadata",
					field{"offsets", func() { p.size(chunks[i].chunk.offset) }},
					field{"sizes", func() { p.size(chunks[i].sizes) }})
			})
		}})
}

// properties writes TensorProperties, whose state is a tuple.
func (p *pickler) properties() {
	p.global(metadataModule, "TensorProperties")
	p.op(')', 0x81)
	p.put()
	p.tuple(5, func() {
		p.global("torch", "bfloat16")
		p.reduced("torch.serialization", "_get_layout", func() { p.str("torch.strided") })
		p.op(0x89)
		p.reduced(metadataModule, "_MEM_FORMAT_ENCODING", func() { p.integer(0) })
		p.op(0x89)
	})
	p.op('b')
}

// reduced writes the result of a call, once.
func (p *pickler) reduced(module, name string, argument func()) {
	p.once("reduced "+module+" "+name, func() {
		p.global(module, name)
		p.tuple(1, argument)
		p.op('R')
	})
}

// storageInfo writes a chunk's index and its place.
func (p *pickler) storageInfo(x *stored) {
	p.object(metadataModule, "MetadataIndex",
		field{"fqn", func() { p.str(x.key) }},
		field{"index", p.none},
		field{"offset", func() { p.size(x.chunk.offset) }})
	p.object(filesystemModule, "_StorageInfo",
		field{"relative_path", func() { p.str(x.file) }},
		field{"offset", func() { p.integer(x.offset) }},
		field{"length", func() { p.integer(x.length) }})
}
