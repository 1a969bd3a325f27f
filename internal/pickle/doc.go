// Package pickle reads Python pickles (protocols 0 to 5) as data. A pickle is a
// program for a stack machine that may name any function of Python and call it;
// here there is no function to call. A name ([Global]) has to be on the caller's
// list, what the program would build from it becomes an inert [Object], and a
// name that is not on the list ends the reading with an error that says which.
//
// The opcodes are those of Python's Lib/pickletools.py. Values come as nil, bool,
// int64 (*big.Int beyond), float64, string, []byte, [Tuple], *[List], *[Dict],
// *[Set], [Global], *[Object], and whatever the caller's hooks return.
//
// Input is treated as hostile. Lengths are compared with what the input still has
// before anything is allocated, and bytes, values, memo, stack and nesting are
// bounded ([Limits]). No value contains itself: a container may not be changed
// after it was put into another one, which is also what keeps the nesting known.
// Values may still be shared, so that a small pickle can describe a tree of
// exponential size: whoever walks a result has to bound the visits or remember
// the pointers seen.
//
//	d := pickle.NewDecoder(file, size, pickle.Options{
//		Allow: func(module, name string) bool { return module == "torch" && name == "Size" },
//	})
//	value, err := d.Decode()
package pickle
