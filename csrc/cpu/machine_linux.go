//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"bufio"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// availableCPUs is the number of CPUs that this process may use: its affinity,
// cut by the control group's quota.
func availableCPUs() int {
	n := 1
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil {
		n = max(set.Count(), 1)
	}
	quota, period, ok := strings.Cut(firstLine("/sys/fs/cgroup/cpu.max"), " ")
	if !ok {
		return n
	}
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || p <= 0 {
		return n // "max": no quota
	}
	return max(1, min(n, int(math.Ceil(q/p))))
}

// availableMemory is how many bytes this process may still take: the machine's
// MemAvailable, cut by the control group's limit. 0 is unknown.
func availableMemory() int64 {
	available := int64(0)
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemAvailable:" {
				kib, _ := strconv.ParseInt(fields[1], 10, 64) // a line that is no number is 0, unknown
				available = kib << 10
			}
		}
	}
	limit, err1 := strconv.ParseInt(firstLine("/sys/fs/cgroup/memory.max"), 10, 64)
	used, err2 := strconv.ParseInt(firstLine("/sys/fs/cgroup/memory.current"), 10, 64)
	if err1 == nil && err2 == nil && (available == 0 || limit-used < available) {
		available = max(limit-used, 1)
	}
	return available
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
