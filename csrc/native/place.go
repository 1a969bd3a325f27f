package native

import (
	"os"
	"path/filepath"
)

// Environment variables that name libraries; there are two more, for this package's own: see [Find].
const (
	TensorRTVariable    = "TRTGO_TENSORRT_LIB"         // libnvinfer
	TensorRTRTXVariable = "TRTGO_TENSORRT_RTX_LIB"     // libtensorrt_rtx
	PluginsVariable     = "TRTGO_TENSORRT_LLM_PLUGINS" // libnvinfer_plugin_tensorrt_llm
)

const pluginsFile = "libnvinfer_plugin_tensorrt_llm.so"

// pluginPlaces are where pip puts TensorRT-LLM's plugins, in its image too.
var pluginPlaces = []string{
	"/usr/local/lib/python3*/dist-packages/tensorrt_llm/libs", "/usr/lib/python3*/dist-packages/tensorrt_llm/libs",
	"/opt/venv/lib/python3*/site-packages/tensorrt_llm/libs",
}

// FindPlugins gives the path of TensorRT-LLM's plugin library: what TRTGO_TENSORRT_LLM_PLUGINS says, else where pip puts
// it; or its name, for the system to look for.
func FindPlugins() string {
	if path := os.Getenv(PluginsVariable); path != "" {
		return path
	}
	places := pluginPlaces
	if venv := os.Getenv("VIRTUAL_ENV"); venv != "" {
		places = append([]string{filepath.Join(venv, "lib/python3*/site-packages/tensorrt_llm/libs")}, places...)
	}
	for _, place := range places {
		if found, err := filepath.Glob(filepath.Join(place, pluginsFile)); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return pluginsFile
}
