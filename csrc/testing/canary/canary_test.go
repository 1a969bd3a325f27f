//go:build cgo && sanitizer_canary

package canary

import "testing"

// TestCanary must fail under the sanitizer named by the sub-test.
func TestCanary(t *testing.T) {
	t.Run("address", func(t *testing.T) { t.Log(Overflow(7)) })
	t.Run("thread", func(t *testing.T) { t.Log(Race()) })
}
