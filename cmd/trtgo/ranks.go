package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

const (
	// followerPatience is how long a process that was interrupted waits for its leader, which was interrupted too.
	followerPatience = 20 * time.Second
	// finalizePatience is how long MPI has to end: it waits for all processes.
	finalizePatience = 30 * time.Second
	// abortPatience is the same for a process that failed, for which the others may be waiting.
	abortPatience = 2 * time.Second
)

// follow is all that a process of mpirun does which is not the leader: it prints nothing and ends when its leader does.
func follow(c *cli.Context, engine *trtllm.Engine) error {
	err := engine.Wait(c.Context)
	if interrupted := c.Context.Err(); interrupted != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), followerPatience)
		defer cancel()
		if engine.Wait(ctx) != nil {
			return interrupted // Close would wait on
		}
		err = interrupted
	}
	return firstError(err, engine.Close())
}

// finalize ends MPI by end, [trtllm.Finalize], as the last thing that the process does, whatever its exit status is; it does
// nothing where MPI was never started. After a failure nobody is waited for: mpirun then ends the others. Where an engine
// did not close in time, which was told then, MPI cannot end either.
func finalize(status int, end func() error, stderr io.Writer) {
	patience := finalizePatience
	if status != exitDone {
		patience = abortPatience
	}
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(patience):
		err = fmt.Errorf("it did not end in %v: other processes may not have ended", patience)
	}
	if err != nil && status == exitDone {
		fmt.Fprintf(stderr, "trtgo: warning: MPI was not ended, which mpirun takes for a failure of this process: %v\n", err)
	}
}
