// Package distcp reads checkpoints of torch.distributed.checkpoint, and of
// Megatron-core's torch_dist backend, which is made of it: a .metadata file that
// says which tensors there are and where each of their parts lies, and .distcp
// files that hold the parts, each as torch.save wrote it. Opening reads .metadata
// and nothing else; a part's own directory is read when its first byte is asked
// for, and its bytes are read in place.
//
// .metadata is a pickle and is read as data (see package pickle). Names of Python
// that may occur are those of PyTorch's and Megatron's own records of a checkpoint,
// of sizes, dtypes and paths; any other ends the reading with an error that says
// which. What this package does not need, such as the plans of all processes, is
// not looked into.
//
// The classes are those of torch/distributed/checkpoint/metadata.py and
// filesystem.py.
//
//	c, err := distcp.Open(tree)
//	if err != nil {
//		return err
//	}
//	for _, name := range c.Names() {
//		array, err := c.Tensor(name)
//		…
//		_, err = array.ReadAt(rows, 0)
//	}
package distcp
