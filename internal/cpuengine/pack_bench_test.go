package cpuengine_test

import (
	"testing"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

func BenchmarkPackPanelsBF16(b *testing.B) {
	const rows, cols = 128, 4096
	src, dst := make([]byte, rows*cols*2), make([]byte, rows*cols*2)
	b.SetBytes(rows * cols * 2)
	for b.Loop() {
		cpuengine.PackPanelsBF16(dst, src, rows, cols)
	}
}

func BenchmarkPackPanelsF32(b *testing.B) {
	const rows, cols = 64, 4096
	src, dst := make([]byte, rows*cols*4), make([]byte, rows*cols*4)
	b.SetBytes(rows * cols * 4)
	for b.Loop() {
		cpuengine.PackPanelsF32(dst, src, rows, cols)
	}
}
