package native

// Flavour is which TensorRT a library drives.
type Flavour string

// The flavours.
const (
	TensorRT    Flavour = "tensorrt"     // with the plugins of TensorRT-LLM: libtrtgo_tensorrt.so
	TensorRTRTX Flavour = "tensorrt-rtx" // for GeForce and RTX cards: libtrtgo_rtx.so
)

// Options say which libraries to load.
type Options struct {
	Flavour Flavour
	// Path of libtrtgo_tensorrt.so or libtrtgo_rtx.so; "" is what Find finds.
	Path string
	// TensorRT is the path or name of libnvinfer or libtensorrt_rtx; "" is the name with the version that the
	// library was built for, looked up as the system does.
	TensorRT string
	// Plugins is the path or name of libnvinfer_plugin_tensorrt_llm.so; "" loads none.
	Plugins string
	// PluginNamespace is what its plugins are registered under; "" is "tensorrt_llm".
	PluginNamespace string
	// Verbose keeps TensorRT's messages of severity verbose too.
	Verbose bool
}

// Versions tell what was loaded.
type Versions struct {
	Flavour  Flavour
	Headers  int    // that the library was compiled with: major·10000 + minor·100 + patch
	TensorRT int    // that was loaded; equal to Headers
	Producer string // compiler of the library

	// Releases of TensorRT-LLM: whose headers the library was compiled with, and that is loaded. "" for none.
	ExecutorHeaders, Executor string
}

// Severity is how grave a message is.
type Severity int32

// The severities of TensorRT.
const (
	InternalError Severity = iota
	ErrorMessage
	Warning
	Info
	Verbose
)

// Message is what TensorRT said.
type Message struct {
	Severity Severity
	Text     string
}

// PluginField is a field that a plugin's creator lists. Type is TensorRT's name, e.g. "INT32".
type PluginField struct{ Name, Type string }

// NetworkOptions are those of a new network.
type NetworkOptions struct {
	Name    string
	Threads int // of the builder; 0 leaves it alone
}

// FieldType is the type of the values of a [Field].
type FieldType int32

// The types of trtgo.h.
const (
	Int8 FieldType = iota
	Int32
	Int64
	Float32
	TextType
)

// Field is an attribute of a layer, a field of a plugin, or a setting of an executor or a request. Ints, Floats or
// Text has the values, as Type says; ints must fit the type.
type Field struct {
	Name   string
	Type   FieldType
	Ints   []int64
	Floats []float32
	Text   string
}

// Text makes a field of text, e.g. an enumerator.
func Text(name, text string) Field { return Field{Name: name, Type: TextType, Text: text} }

// Ints makes a field of integers of 64 bits.
func Ints(name string, values ...int64) Field { return Field{Name: name, Type: Int64, Ints: values} }

// Floats makes a field of floating-point numbers of 32 bits.
func Floats(name string, values ...float32) Field {
	return Field{Name: name, Type: Float32, Floats: values}
}

// Tensor is an input or what a layer gives.
type Tensor struct {
	ID   int32   // by which calls name it
	Dims []int64 // -1 where the runtime says
	Type string  // TensorRT's name, e.g. "BF16"
}

// Input is an input of a network.
type Input struct {
	Name  string
	Type  string
	Dims  []int64
	Names []string // of the dimensions, "" for none; or nil
}

// Layer is a layer to be added.
type Layer struct {
	Kind, Name string
	Inputs     []int32 // ids; -1 where an optional one is absent
	Fields     []Field
	// Weights of a Constant: row-major, little-endian. They are not copied, and must stay unchanged, and mapped
	// where they are a file's, until the network is closed. Memory of Go's is pinned until then.
	Weights                     []byte
	WeightsName                 string // for those who refit the plan; "" for none
	Creator, Version, Namespace string // of a Plugin
}

// Range has the least, best and largest shape of an input.
type Range struct {
	Input         string
	Min, Opt, Max []int64
}

// Progress is how far a build is.
type Progress struct {
	Phase       string // TensorRT's name of the innermost phase; "" before the first
	Done, Total int    // steps of it
	Bytes       int64  // of the plan that are written
}

// BuildOptions are those of a build.
type BuildOptions struct {
	Flags              []string // nvinfer1::BuilderFlag by name without k, e.g. "STRIP_PLAN"
	ProfilingVerbosity string   // "LAYER_NAMES_ONLY", "DETAILED" or "NONE"; "" leaves it alone
	Capabilities       []int    // compute capabilities times ten, e.g. 86; TensorRT-RTX only
	UseTimingCache     bool
	TimingCache        []byte         // of an earlier build, nil for none
	Progress           func(Progress) // called by the goroutine that builds, where there is news; may be nil
}
