//go:build cgo && (amd64 || arm64)

package cpu

import (
	"math"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func files(contents map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range contents {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func TestQuotaAndMemoryOfControlGroups(t *testing.T) {
	tests := []struct {
		name   string
		files  map[string]string
		quota  float64
		memory int64
	}{
		{"none", map[string]string{}, math.Inf(1), math.MaxInt64},
		{"version 2, own group", map[string]string{
			"proc/self/cgroup": "0::/user.slice/job\n", "sys/fs/cgroup/user.slice/job/cpu.max": "150000 100000\n",
			"sys/fs/cgroup/user.slice/job/memory.max": "1000\n", "sys/fs/cgroup/user.slice/job/memory.current": "400\n",
		}, 1.5, 600},
		{"version 2, the parent's is smaller", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "50\n", "sys/fs/cgroup/a/memory.current": "60\n",
		}, 4, -10},
		{"version 2, file cache is given back", map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/memory.current": "900\n",
			"sys/fs/cgroup/a/memory.stat": "anon 200\nfile 700\nactive_file 400\ninactive_file 250\nshmem x\n",
		}, math.Inf(1), 750},
		{"version 1, file cache is given back", map[string]string{
			"proc/self/cgroup": "3:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "900\n",
			"sys/fs/cgroup/memory/x/memory.stat": "active_file 1\ninactive_file 2\ntotal_active_file 30\ntotal_inactive_file 20\n",
		}, math.Inf(1), 150},
		{"container that sees its group as the root", map[string]string{
			"proc/self/cgroup": "0::/../hidden\n", "sys/fs/cgroup/cpu.max": "50000 100000\n",
		}, 0.5, math.MaxInt64},
		{"version 1", map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n1:name=systemd:/y\n",
			"sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us":       "-1\n",
			"sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us":      "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":                "300000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":               "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":        "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":        "5\n",
			"sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "99\n",
			"sys/fs/cgroup/memory/docker/memory.usage_in_bytes": "9\n",
		}, 3, 90},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "hello\n0::\n", "sys/fs/cgroup/cpu.max": "x y\n", "sys/fs/cgroup/memory.max": "-\n",
		}, math.Inf(1), math.MaxInt64},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.quota, cpuQuota(files(test.files)))
			require.Equal(t, test.memory, memoryLeft(files(test.files)))
		})
	}
}

func TestMemAvailable(t *testing.T) {
	require.Zero(t, memAvailable(files(nil)))
	require.Zero(t, memAvailable(files(map[string]string{"proc/meminfo": "MemFree: 12 kB\n"})))
	require.Zero(t, memAvailable(files(map[string]string{"proc/meminfo": "MemAvailable: -3 kB\n"})))
	require.EqualValues(t, 12<<10, memAvailable(files(map[string]string{"proc/meminfo": "MemTotal: 99 kB\nMemAvailable:   12 kB\n"})))
}

func TestAddressSpaceLeft(t *testing.T) {
	require.EqualValues(t, math.MaxInt64, addressSpaceLeft(files(nil)))
	require.EqualValues(t, math.MaxInt64, addressSpaceLeft(files(map[string]string{"proc/self/statm": "many 2 3\n"})))
}

func TestThisMachineHasCPUsAndMemory(t *testing.T) {
	require.Positive(t, availableCPUs())
	require.Positive(t, availableMemory())
}
