// Package numpyrandom draws the same random numbers as numpy, bit for bit.
//
// Two streams are ported, each only as far as the project needs it:
//
//   - [Generator] is numpy.random.default_rng(seed): SeedSequence, PCG64 (XSL-RR output) and Generator.permutation. The data
//     set library shuffles with it, so it fixes which articles an evaluation reads.
//   - [RandomState] is numpy.random.RandomState(seed): MT19937 and choice with replacement. rouge-score resamples with it, so
//     it fixes the reported ROUGE.
//
// numpy promises that RandomState never changes; Generator may change between releases of numpy but has not since 1.17.
// The sources followed are numpy/random/bit_generator.pyx, src/pcg64, src/mt19937, src/distributions and _generator.pyx.
// The streams are for reproducing results and nothing else: they are no source of secrets.
package numpyrandom
