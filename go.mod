module github.com/trtgo/trtgo

go 1.26.0

require (
	github.com/goccy/go-yaml v1.19.2 // NeMo configs (export/nemo)
	github.com/parquet-go/parquet-go v0.32.0 // data sets as the hub lays them out (internal/dataset)
	github.com/prometheus/client_golang v1.25.0 // the collector of trtllm/metrics, which nothing else imports
	github.com/rivo/uniseg v0.4.7 // clusters of characters, to which tokenizers apply a character map (tokenizer)
	github.com/rogpeppe/go-internal v1.16.0 // testscript: the command as a user types it
	github.com/schollz/progressbar/v3 v3.19.1 // progress on a terminal (cmd/trtgo)
	github.com/stretchr/testify v1.12.1 // require, in tests
	github.com/urfave/cli/v2 v2.27.7 // the command line (cmd/trtgo only)
	github.com/x448/float16 v0.8.4 // float16 edges and oracle
	go.uber.org/goleak v1.3.0 // tests: no goroutine is left behind
	golang.org/x/mod v0.41.0 // CI: the module zip as a user's go install sees it
	golang.org/x/sync v0.23.0 // steps of several engines wait for free CPUs in turn (csrc/cpu)
	golang.org/x/sys v0.49.0 // mmap, affinity (csrc/cpu); a pseudo-terminal in tests (cmd/trtgo)
	golang.org/x/term v0.47.0 // are stdin and stderr terminals? (cmd/trtgo)
	golang.org/x/text v0.42.0 // normalization forms and case folding (tokenizer)
)

require (
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.21 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	github.com/xrash/smetrics v0.0.0-20240521201337-686a1a2994c1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/tools v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
