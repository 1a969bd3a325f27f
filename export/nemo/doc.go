// Package nemo reads checkpoints of NeMo and Megatron-core as sources of an
// export: archives (.nemo) and unpacked ones, in place; directories of NeMo 2; bare
// distributed checkpoints, whose config lies elsewhere.
//
//	m, err := nemo.Open(ctx, "minitron-8b-base.nemo", nemo.Options{})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	fmt.Println(m.Format(), m.Config().NumHiddenLayers) // nemo-zarr 32
//
// A config of either generation becomes settings (config1.go, config2.go; configio.go
// where NeMo 2 left no model.yaml, confighf.go for a Hugging Face config.json). The
// weights' container becomes params: parameters under Megatron-core's names, with
// layers numbered or stacked, each an io.ReaderAt (container.go for distributed
// checkpoints, ranks.go for files of ranks, which are merged). Model takes from
// both what the target asks for: heads out of fused rows, halves of a gated MLP,
// norms with the one that is stored less.
//
// Config files and checkpoints are data: no class is looked up, no code is run, and
// what a hostile file may cost in memory and time is bounded.
package nemo
