//go:build linux && (amd64 || arm64)

package cpu

// The flags of every C++ file of this package. Instruction sets are chosen per
// function by target attributes, so no -m flag stands here; warnings are the
// business of the CMake build. Only libc stays a dynamic dependency.

// #cgo CXXFLAGS: -O3 -std=c++17
// #cgo LDFLAGS: -static-libstdc++ -static-libgcc -lpthread -lm
import "C"
