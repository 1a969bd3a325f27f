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

// AvailableCPUs is the number of CPUs that this process may use, and the default of
// Options.Threads.
func AvailableCPUs() int { return availableCPUs() }

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
// MemAvailable, cut by the control groups' limits and the process's own. 0 is unknown.
// Cached pages of files count as available, the engine's too.
func availableMemory() int64 {
	root := os.DirFS("/")
	available := memAvailable(root)
	if left := min(memoryLeft(root), addressSpaceLeft(root)); left < math.MaxInt64 && (available == 0 || left < available) {
		available = max(left, 1)
	}
	return available
}

// addressSpaceLeft is what RLIMIT_AS (ulimit -v) still allows; MaxInt64 without it.
func addressSpaceLeft(root fs.FS) int64 {
	var limit unix.Rlimit
	pages, _, _ := strings.Cut(line(root, "proc/self", "statm"), " ")
	used, err := strconv.ParseInt(pages, 10, 64)
	if err != nil || unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(limit.Cur) - used*int64(os.Getpagesize())
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
// groups of this process, MaxInt64 without a limit. As in MemAvailable, file cache
// does not count as used: the system takes it back.
func memoryLeft(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for _, dir := range controlGroups(root, "memory") {
		for _, names := range [][2]string{{"memory.max", "memory.current"}, {"memory.limit_in_bytes", "memory.usage_in_bytes"}} {
			limit, err1 := strconv.ParseInt(line(root, dir, names[0]), 10, 64)
			used, err2 := strconv.ParseInt(line(root, dir, names[1]), 10, 64)
			if err1 == nil && err2 == nil && limit < 1<<60 { // version 1 says "no limit" by a huge one
				least = min(least, limit-used+fileCache(root, dir))
			}
		}
	}
	return least
}

// fileCache is how much of a control group's use is cached pages of files. Version 1
// calls it total_… where it counts the groups below too, as the use does.
func fileCache(root fs.FS, dir string) int64 {
	b, err := fs.ReadFile(root, path.Join(dir, "memory.stat"))
	if err != nil {
		return 0
	}
	values := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			n, _ := strconv.ParseInt(value, 10, 64) // no number is 0
			values[name] = n
		}
	}
	if _, ok := values["total_active_file"]; ok {
		return values["total_active_file"] + values["total_inactive_file"]
	}
	return values["active_file"] + values["inactive_file"]
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
