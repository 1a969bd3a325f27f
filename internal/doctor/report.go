// Package doctor tells what of a machine can build and run engines, what is missing and what to do about it:
// driver, GPUs, the libraries of TensorRT, TensorRT-LLM and TensorRT-RTX with all that they need, and the CPU backend.
// Libraries are read (package elfscan), and loaded only by another process where that is asked for. It finds something to say on any machine.
//
//	report, err := doctor.Examine(ctx, doctor.Options{Root: "/", Getenv: os.Getenv, …})
//	for _, p := range report.Problems { fmt.Println(p) }
package doctor

// Report is what was found. Its JSON form is that of `trtgo doctor --json`.
type Report struct {
	Backend string `json:"backend"` // that the question was about
	OK      bool   `json:"ok"`      // it can do here what this release does with it; an engine, if one was given, can run

	CPU        CPU       `json:"cpu"`
	Driver     string    `json:"driver,omitempty"` // version of NVIDIA's kernel module, e.g. "580.65.06"
	GPUs       []GPU     `json:"gpus"`
	LoaderPath []string  `json:"loader_path"` // directories that the system's loader searches: LD_LIBRARY_PATH, /etc/ld.so.conf, its own
	Libraries  []Library `json:"libraries"`
	Engine     *Engine   `json:"engine,omitempty"`

	ExecutorWorker string  `json:"executor_worker,omitempty"` // TensorRT-LLM's program, which an orchestrator starts
	Loaded         *Loaded `json:"loaded,omitempty"`          // what loading TensorRT-LLM's libraries shows

	Backends []Backend `json:"backends"`
	Problems []Problem `json:"problems"`
}

// CPU is the state of the CPU backend, found by running a small engine.
type CPU struct {
	ISA             string `json:"isa,omitempty"` // of the kernels: "scalar", "avx2", "avx512bf16", "neon"…
	Threads         int    `json:"threads,omitempty"`
	AvailableMemory int64  `json:"available_memory,omitempty"` // bytes; 0 is unknown
	Error           string `json:"error,omitempty"`            // why it does not work here
}

// GPU is one that NVIDIA's driver knows.
type GPU struct {
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability,omitempty"` // e.g. "8.9"; "" is unknown
	Memory            int64  `json:"memory,omitempty"`             // bytes; 0 is unknown
}

// Library is one of the libraries that the backends for GPUs use. Paths are those inside the tree that was examined.
type Library struct {
	Name         string   `json:"name"`
	Backends     []string `json:"backends"` // that use it
	Path         string   `json:"path,omitempty"`
	Resolved     string   `json:"resolved,omitempty"` // the file that the path leads to, where it is a link
	Version      string   `json:"version,omitempty"`
	LoaderFinds  bool     `json:"loader_finds"` // the system's loader finds it by its name
	Searched     []string `json:"searched"`     // directories, and variables that name a file
	Missing      []string `json:"missing_libraries,omitempty"`
	Versions     []string `json:"missing_versions,omitempty"`
	Symbols      []string `json:"missing_symbols,omitempty"`
	StaticTLS    []string `json:"static_tls,omitempty"` // those of the libraries that it brings that need it
	StaticBytes  uint64   `json:"static_tls_bytes,omitempty"`
	Dependencies int      `json:"dependencies"` // libraries that it needs, transitively, and that are there

	component *component
	broken    bool // there is a problem with it
}

// Loaded is what a process found that loaded TensorRT-LLM's libraries, with its plugins.
type Loaded struct {
	Library            string   `json:"library,omitempty"`              // libtrtgo_tensorrt.so
	TensorRT           string   `json:"tensorrt,omitempty"`             // version that is loaded
	TensorRTLLM        string   `json:"tensorrt_llm,omitempty"`         // release that is loaded; "" where the library runs no engines
	TensorRTLLMHeaders string   `json:"tensorrt_llm_headers,omitempty"` // release whose headers the library was built with
	GPUs               []GPU    `json:"gpus,omitempty"`                 // as CUDA shows them
	PluginDifferences  []string `json:"plugin_differences,omitempty"`   // from the plugins that networks are made of
	Error              string   `json:"error,omitempty"`                // why they cannot be loaded
	Crash              string   `json:"crash,omitempty"`                // how the process ended that tried, or that it did not
}

// Engine is what the config of an engine says it needs.
type Engine struct {
	Dir                 string   `json:"dir"`
	Backend             string   `json:"backend"`
	Version             string   `json:"version,omitempty"`  // of TensorRT-LLM
	TensorRT            string   `json:"tensorrt,omitempty"` // or of TensorRT-RTX
	ComputeCapabilities []string `json:"compute_capabilities,omitempty"`
	Ranks               int      `json:"ranks"`
}

// Backend tells what a backend can do here.
type Backend struct {
	Name  string `json:"name"`
	Build bool   `json:"build"`
	Run   bool   `json:"run"`
	Note  string `json:"note,omitempty"`
}

// Problem is something that keeps backends from working, and what to do about it.
type Problem struct {
	Backends []string `json:"backends"`
	Text     string   `json:"problem"`
	Remedy   string   `json:"remedy"`
}

// String is one sentence.
func (p Problem) String() string { return p.Text + ": " + p.Remedy }
