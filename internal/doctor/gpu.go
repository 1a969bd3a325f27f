package doctor

import (
	"context"
	"encoding/csv"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/elfscan"
)

const (
	maxProc = 64 << 10 // bytes of a file of the driver
	maxGPUs = 1024

	smiTimeout = 10 * time.Second // a driver in trouble lets its tool hang
)

// AskNVIDIASMI asks nvidia-smi about the GPUs of this machine, with a time limit. The error says that there is none, or why it failed.
func AskNVIDIASMI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits")
	command.WaitDelay = time.Second
	return command.Output()
}

var driverVersion = regexp.MustCompile(`Module(?: for \S+)?\s+(\d+(?:\.\d+)+)`)

// driver reads the version of NVIDIA's kernel module, "" when it is not loaded.
func driver(search *elfscan.Search) string {
	text, err := search.ReadFile("/proc/driver/nvidia/version", maxProc)
	if err != nil {
		return ""
	}
	if found := driverVersion.FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return "unknown"
}

// gpus lists the GPUs that nvidia-smi tells of, else those of the kernel module, whose compute capability it does not tell.
func gpus(search *elfscan.Search, smi []byte) []GPU {
	if list := parseSMI(smi); len(list) > 0 {
		return list
	}
	list := []GPU{}
	for _, file := range search.Glob("/proc/driver/nvidia/gpus/*/information") {
		text, err := search.ReadFile(file, maxProc)
		if err != nil || len(list) == maxGPUs {
			continue
		}
		name := path.Base(path.Dir(file)) // its bus
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); key == "Model" {
				name = strings.TrimSpace(value)
			}
		}
		list = append(list, GPU{Name: name})
	}
	return list
}

// parseSMI reads lines of "name, compute capability, MiB"; what is in brackets, such as [N/A], is unknown. Other
// lines are nvidia-smi's complaints.
func parseSMI(text []byte) []GPU {
	var list []GPU
	for line := range strings.Lines(string(text)) {
		r := csv.NewReader(strings.NewReader(line))
		r.TrimLeadingSpace, r.LazyQuotes = true, true
		fields, err := r.Read()
		if err != nil || len(fields) != 3 || len(list) == maxGPUs {
			continue
		}
		g := GPU{Name: fields[0]}
		if capability.MatchString(fields[1]) {
			g.ComputeCapability = fields[1]
		}
		if mib, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64); err == nil && mib > 0 && mib < 1<<40 {
			g.Memory = mib << 20
		}
		list = append(list, g)
	}
	return list
}

var capability = regexp.MustCompile(`^\d+\.\d+$`)
