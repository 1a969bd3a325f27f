package main

import "fmt"

// humanBytes writes a number of bytes in decimal units, as disks are sold.
func humanBytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for value >= 999.95 && exponent < 4 { // which is printed as the next unit's 1.0
		value /= unit
		exponent++
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[exponent])
}
