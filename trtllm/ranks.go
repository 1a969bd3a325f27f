package trtllm

import (
	"strconv"
	"strings"
)

// launch is how the processes that this one belongs to were started.
type launch struct {
	variable string // that says so; "" for a process that was started alone
	size     int    // processes, at least 1
	rank     int    // this one's number; -1 is unknown
	local    int    // processes on this machine; 0 is unknown
}

// launchers are the variables of programs that start MPI's processes, the innermost first: mpirun may run inside a
// job of Slurm. SLURM_NTASKS is no sign: whoever only holds an allocation has it too.
var launchers = []struct{ size, rank, local string }{
	{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}, // Open MPI
	{"PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"},                                    // MPICH, Intel MPI
	{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", ""},                                   // srun
}

// findLaunch reads them.
func findLaunch(getenv func(string) string) launch {
	number := func(name string, least, otherwise int) int {
		if n, err := strconv.Atoi(getenv(name)); err == nil && n >= least {
			return n
		}
		return otherwise
	}
	for _, l := range launchers {
		if size := number(l.size, 1, 0); size > 0 {
			return launch{variable: l.size, size: size, rank: number(l.rank, 0, -1), local: number(l.local, 1, 0)}
		}
	}
	return launch{size: 1, rank: 0, local: 1}
}

// mpiVariables tell MPI, when it starts, that there are other processes.
var mpiVariables = []string{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_SIZE", "PMI_RANK", "SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS"}

// variables tells which of them are set.
func (l launch) variables(getenv func(string) string) string {
	var set []string
	for _, name := range mpiVariables {
		if value := getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	if len(set) == 0 {
		return "this one was started alone"
	}
	return "the environment has " + strings.Join(set, " ")
}
