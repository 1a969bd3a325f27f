// Package tokenizer turns text into the token ids of a model and back, and conversations into prompts.
// It is pure Go and reads
//
//   - tokenizer.json with the meaning that Hugging Face's tokenizers gives it: BPE, Unigram, WordPiece and
//     WordLevel behind all its normalizers, pre-tokenizers, post-processors and decoders;
//   - tokenizer.model, a SentencePiece model of any kind (Unigram, BPE, word, char), with its normaliser
//     and denormalizer;
//   - the tokenizer metadata of a GGUF file ([FromGGUF]), which becomes the former;
//   - the files beside them: special tokens, the ids that end a generation, chat templates.
//
// [Open] takes a model directory, [OpenFile] a single file. What is not implemented is refused with an error
// that wraps [ErrUnsupported] and names it: a tokenizer that nearly fits would give wrong ids in silence.
//
// Ids equal those of tokenizers 0.23.3 and sentencepiece 0.2.3, rendered chats and the tokens of
// configurations those of transformers 5.24, on the goldens in testdata. As there, clean_up_tokenization_spaces has no effect on BPE
// unless clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output is set too.
//
// A [Tokenizer] is immutable and safe for concurrent use; a [Decoder] belongs to one goroutine.
// Files are treated as hostile: damaged ones give an error that wraps [ErrInvalid].
package tokenizer
