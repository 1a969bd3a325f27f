package tensorrt

// ReleaseWithDifferences is a release that only compares the fields of plugins.
func ReleaseWithDifferences(version string, differences map[string]FieldDifferences) *Release {
	return &Release{Version: version, differences: differences}
}
