//go:build cgo && sanitizer_canary

// Package canary holds planted faults in C++ that the sanitizer runs must catch.
// It is compiled only with the tag sanitizer_canary.
package canary

// #cgo CXXFLAGS: -std=c++17
// #cgo LDFLAGS: -lpthread
// int trtgo_canary_overflow(int n);
// int trtgo_canary_race(void);
import "C"

// Overflow reads one int beyond a heap buffer of n ints.
func Overflow(n int) int { return int(C.trtgo_canary_overflow(C.int(n))) }

// Race writes one int from two threads without synchronisation.
func Race() int { return int(C.trtgo_canary_race()) }
