package export_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/trtgo/trtgo/export"
)

func ExampleConvert() {
	report, err := export.Convert(context.Background(), "SmolLM2-135M-Instruct", export.Options{
		OutputDir: "ckpt",
		Dtype:     "bfloat16",
		Progress: func(done, total int64, tensor string) {
			fmt.Printf("%3d%% %s\n", 100*done/total, tensor)
		},
	})
	switch {
	case errors.Is(err, export.ErrUnsupported):
		log.Fatalf("cannot be exported: %v", err) // names what is not supported, and what is
	case err != nil:
		log.Fatal(err)
	}
	for _, note := range report.Notes {
		log.Print(note)
	}
	fmt.Println(report.Bytes, "bytes in", report.OutputDir)
}

func ExampleInspect() {
	d, err := export.Inspect(context.Background(), "SmolLM2-135M-Instruct.Q8_0.gguf", export.SourceOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Format, d.Architecture, len(d.Tensors), "tensors")
	for _, problem := range d.Problems {
		fmt.Println(problem)
	}
}

// Verify proves that a checkpoint, however old, is what its source becomes.
func ExampleVerify() {
	report, err := export.Verify(context.Background(), "minitron-8b-base.nemo", "ckpt", export.VerifyOptions{})
	switch {
	case errors.Is(err, export.ErrDifferent):
		log.Fatal(err) // names rank, tensor, row, column and both values
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(report.Exact, "of", report.Tensors, "tensors are the source's number for number")
	if worst := report.Worst; worst != nil {
		fmt.Printf("%s is off by %g at most\n", worst.Tensor, worst.Absolute)
	}
}

// Plan tells where each tensor comes from before anything is written.
func ExamplePlan() {
	plan, err := export.Plan(context.Background(), "minitron-8b-base.nemo", export.Options{Dtype: "float16", TPSize: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.BytesIn, "bytes in,", plan.BytesOut, "out, buffers of", plan.PeakBytes)
	for _, rank := range plan.Ranks {
		for _, tensor := range rank.Tensors {
			for _, part := range tensor.Parts {
				fmt.Println(rank.File, tensor.Name, "from", part.Source, ":", part.Transform)
			}
		}
	}
}

func ExampleCheck() {
	problems, err := export.Check(context.Background(), "minitron-8b-base.nemo", export.CheckOptions{Dtype: "float16"})
	if err != nil {
		log.Fatal(err)
	}
	for _, problem := range problems {
		fmt.Println(problem) // NaN, infinity, what float16 cannot hold: tensor, count, place of the first
	}
}
