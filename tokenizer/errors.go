package tokenizer

import (
	"errors"
	"fmt"
)

var (
	// ErrUnsupported is wrapped by errors about a tokenizer that is well formed but of a
	// kind this package does not implement. The message names the kind.
	ErrUnsupported = errors.New("unsupported tokenizer")

	// ErrNoTokenizer is wrapped when a directory holds neither tokenizer.json nor tokenizer.model.
	ErrNoTokenizer = errors.New("no tokenizer")

	// ErrInvalid is wrapped by errors about a damaged or contradictory tokenizer file.
	ErrInvalid = errors.New("invalid tokenizer file")

	// ErrUnknownID is wrapped when an id to decode has no token.
	ErrUnknownID = errors.New("unknown token id")

	// ErrNoChatTemplate is wrapped when a chat is rendered with a model that has no template.
	ErrNoChatTemplate = errors.New("no chat template")

	// ErrChatTemplate is wrapped when a chat template cannot be parsed or rendered, or when the
	// template itself refuses the messages by raise_exception.
	ErrChatTemplate = errors.New("chat template")
)

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
