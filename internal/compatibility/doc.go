// Package compatibility collects what tests have shown of engines, and renders the tables of
// docs/compatibility.md from it. Tests import it, nothing else does.
//
// A package's tests share a [Record] of one [Method]. Each test that showed something of a
// network says so; when all have passed, the record must be equal to the file in testdata, from
// which the document is made:
//
//	var record = compatibility.NewRecord(compatibility.Numbers)
//
//	func TestMain(m *testing.M) { os.Exit(record.Finish(m.Run())) }
//
//	func TestX(t *testing.T) {
//		…
//		record.Passed(t, compatibility.Plugins(config, options))
//	}
//
// With TRTGO_UPDATE_COMPATIBILITY=1 in the environment the files, and the document, are
// written anew.
package compatibility
