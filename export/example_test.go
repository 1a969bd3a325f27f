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
