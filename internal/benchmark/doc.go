// Package benchmark measures an engine of the CPU backend against what the machine
// allows: the memory that its threads can read and the operations that they can do.
//
// A case is a step: the prompt of one sequence (prefill), or the next token of each of
// several (decode). Steps are run as they are, without scheduling and sampling, in turns
// with pieces of reading and of arithmetic alone by as many threads; a ratio is that of
// a step to the pieces before and behind it, so that it holds on a machine whose speed
// changes from one second to the next.
//
// # What is counted
//
// Bytes are those that a step cannot do without: each weight once, as it is stored, with
// its scales; of the embedding the rows of the step's tokens; keys and values of all
// positions that are seen once, and those of the step once more, as they are written.
// Activations are not counted: they stay in caches. Operations are two for each weight
// of a linear layer and row, and four for each query head, value of a head and position
// that is seen. Norms, activation functions and the softmax are not counted.
//
// The limit (the roofline) of a step is the longer one of the times that its bytes take
// at the speed of reading and its operations at that of arithmetic, each kind of which
// has its own peak.
package benchmark
