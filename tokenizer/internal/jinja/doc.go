// Package jinja renders chat templates as transformers does: Jinja2 3.1 with trim_blocks and lstrip_blocks,
// without autoescaping, in its immutable sandbox, with break, continue and {% generation %}.
//
// Values are Python's, as these Go types:
//
//	nil                  None
//	bool                 bool
//	int64, *big.Int      int (big.Int only beyond int64)
//	float64              float
//	string, markup       str, and str that escapes what is added to it
//	*List, *Tuple        list, tuple
//	*Dict                dict, in order of insertion
//	Func                 a function or a bound method
//
// and a few that only the engine makes: undefined, namespaces, ranges, views of dicts, iterators, macros.
//
// What is not implemented (template inheritance, includes, a few filters) is an error when it is reached,
// never other text. Output, loops, recursion and the size of values are bounded, since templates come
// with models and are not trusted.
//
// The parser and the evaluator panic with an [Error]; Compile and Render return it.
package jinja
