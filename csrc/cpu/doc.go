// Package cpu runs CPU engine files: kernels and the forward pass in C++, and
// their binding. A [Runner] is an executor.Runner.
//
//	runner, err := cpu.Open(ctx, "engine/rank0.engine", cpu.Options{})
//	if err != nil {
//		return err
//	}
//	defer runner.Close()
//	var out executor.StepResult
//	err = runner.Step(ctx, []executor.Sequence{{
//		Tokens: []int32{1, 2, 3}, Positions: []int32{0, 1, 2}, BlockTable: []int32{0}, SeqLen: 3,
//		Rows: []executor.LogitsRow{{Index: 2, Candidates: 1}},
//	}}, &out)
//
// The kernel set is the fastest that the machine has; TRTGO_CPU_ISA=scalar, avx2,
// avx512bf16, neon, neondotprod or neonbf16 chooses another. Weights are mapped from the engine file unless
// Options.Load is "copy": a file that is truncated while it is mapped kills the
// process, a copy does not have that danger.
//
// Without cgo, and on systems other than linux/amd64 and linux/arm64, Open
// returns executor.ErrNoBackend.
package cpu
