package tokenizer

import "errors"

func parseRegexp(string) (pattern, error) { return nil, errors.New("no such pattern is known") }
