// Package tokenizer turns text into the token ids of a model and back, and conversations into prompts.
// It is pure Go and reads
//
//   - tokenizer.json with the meaning that Hugging Face's tokenizers gives it: BPE, Unigram, WordPiece and
//     WordLevel behind all its normalizers, pre-tokenizers, post-processors and decoders;
//   - tokenizer.model, a SentencePiece model of any kind (Unigram, BPE, word, char), with its normaliser
//     and denormalizer;
//   - tekken.json, Mistral's byte-level BPE, with the ids of mistral-common 1.13.1, whose special tokens
//     text never gives: see [Open];
//   - files of ranks (*.tiktoken, Llama-3's tokenizer.model), with the ids of tiktoken 0.14; the pattern and the
//     special tokens come from tokenizer_config.json (pat_str, added_tokens_decoder) or, of the vocabularies of
//     r50k_base, p50k_base, cl100k_base, o200k_base, Llama-3, Qwen and Qwen3.5, which are known by their SHA-256, from here. Beside a
//     configuration of the class QWenTokenizer text is normalised to NFC first, as that class does;
//   - the tokenizer metadata of a GGUF file ([FromGGUF]), which becomes one of the former;
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
