// Package namelist writes lists of names into messages, which a model of thousands
// of tensors must not flood.
//
//	fmt.Errorf("missing tensors: %s", namelist.First(missing)) // a, b, … and 90 more
package namelist

import (
	"fmt"
	"strings"
)

// First gives the first few names and how many more there are.
func First(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
