package benchdoc

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Load is a moment from which on other programs' work is counted.
type Load struct {
	begin        time.Time
	machine, own time.Duration
}

// BeginLoad is this moment.
func BeginLoad() Load { return Load{time.Now(), machineCPU(), OwnCPU()} }

// Others is how many cores other programs have kept busy since then, and other machines
// of the same host. This process and those that it has started and waited for are not
// among them.
func (l Load) Others() float64 {
	spent := (machineCPU() - l.machine) - (OwnCPU() - l.own)
	return max(0, spent).Seconds() / time.Since(l.begin).Seconds()
}

// OwnCPU is the time that the process and its children have spent on CPUs.
func OwnCPU() time.Duration {
	total := time.Duration(0)
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

// machineCPU is the time that all processes have spent on the machine's CPUs, and
// other machines of the same host on them.
func machineCPU() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	total := time.Duration(0)
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseInt(field, 10, 64)
		idle := i == 4 || i == 5 // idle and iowait
		guest := i > 8           // counted as user time already
		if err == nil && !idle && !guest {
			total += time.Duration(ticks) * time.Second / 100
		}
	}
	return total
}
