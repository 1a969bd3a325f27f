//go:build cgo && (amd64 || arm64)

package cpu

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// availableCPUs is the number of CPUs that this process may use: its affinity,
// cut by the control groups' quotas.
func availableCPUs() int {
	n := 1
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil {
		n = max(set.Count(), 1)
	}
	if quota := cpuQuota(os.DirFS("/")); quota < float64(n) {
		n = max(1, int(math.Ceil(quota)))
	}
	return n
}

// availableMemory is how many bytes this process may still take: the machine's
// MemAvailable, cut by the control groups' limits. 0 is unknown.
func availableMemory() int64 {
	root := os.DirFS("/")
	available := memAvailable(root)
	if left := memoryLeft(root); left < math.MaxInt64 && (available == 0 || left < available) {
		available = max(left, 1)
	}
	return available
}

// memAvailable reads MemAvailable of /proc/meminfo; 0 when there is none.
func memAvailable(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // no number is 0, unknown
			return max(kib, 0) << 10
		}
	}
	return 0
}

// cpuQuota is the smallest number of CPUs that a control group of this process
// grants; +Inf without a quota.
func cpuQuota(root fs.FS) float64 {
	least := math.Inf(1)
	for _, dir := range controlGroups(root, "cpu") {
		quota, period, ok := strings.Cut(line(root, dir, "cpu.max"), " ")
		if !ok {
			quota, period = line(root, dir, "cpu.cfs_quota_us"), line(root, dir, "cpu.cfs_period_us")
		}
		q, err1 := strconv.ParseFloat(quota, 64) // "max" and -1 are no quota
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && q > 0 && p > 0 {
			least = min(least, q/p)
		}
	}
	return least
}

// memoryLeft is the smallest difference between limit and use of the control
// groups of this process; MaxInt64 without a limit.
func memoryLeft(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for _, dir := range controlGroups(root, "memory") {
		for _, names := range [][2]string{{"memory.max", "memory.current"}, {"memory.limit_in_bytes", "memory.usage_in_bytes"}} {
			limit, err1 := strconv.ParseInt(line(root, dir, names[0]), 10, 64)
			used, err2 := strconv.ParseInt(line(root, dir, names[1]), 10, 64)
			if err1 == nil && err2 == nil && limit < 1<<60 { // version 1 says "no limit" by a huge one
				least = min(least, limit-used)
			}
		}
	}
	return least
}

// controlGroups lists the directories of this process's control groups that may
// bound a controller: its own and all above it, of version 2 and of version 1.
// Inside a container the own path may not be visible; the root of the mount is
// then the container's group.
func controlGroups(root fs.FS, controller string) []string {
	var dirs []string
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for entry := range strings.Lines(string(b)) { // hierarchy:controllers:path
		fields := strings.SplitN(strings.TrimSpace(entry), ":", 3)
		if len(fields) < 3 {
			continue
		}
		mount := "sys/fs/cgroup"
		if fields[1] != "" { // version 1
			if !strings.Contains(","+fields[1]+",", ","+controller+",") {
				continue
			}
			mount = path.Join(mount, controller)
		}
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join(mount, dir))
			if dir == "/" {
				break
			}
		}
	}
	return dirs
}

// line reads the first line of a file, or "".
func line(root fs.FS, dir, name string) string {
	b, err := fs.ReadFile(root, path.Join(dir, name))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return first
}
