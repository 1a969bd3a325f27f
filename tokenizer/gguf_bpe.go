package tokenizer

// ggufPre is the pre-tokeniser that the models with a value of tokenizer.ggml.pre were trained with: as their
// own tokenizer.json has it, where llama.cpp's imitation differs. llama.cpp's "default" is a split of its
// own that no model was trained with, and is not here.
type ggufPre struct {
	nfc          bool
	stages       []object // before ByteLevel
	regex        bool     // ByteLevel cuts as GPT-2
	behind       []object // stages after it
	ignoreMerges bool
	addBOS       bool // unless tokenizer.ggml.add_bos_token says otherwise
}

func splitRegex(pattern string) object {
	return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}
}

func digitsStage(individual bool) object {
	return object{"type": "Digits", "individual_digits": individual}
}

func splitRegexes(patterns ...string) []object {
	var list []object
	for _, p := range patterns {
		list = append(list, splitRegex(p))
	}
	return list
}

// deepSeekLetters are the letters of DeepSeek-LLM's first words.
const deepSeekLetters = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`

const deepSeekV3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"

var (
	preGPT2   = ggufPre{regex: true}
	preNeoX   = ggufPre{nfc: true, regex: true}
	preDigits = ggufPre{stages: []object{digitsStage(true)}, regex: true}
	preLlama3 = ggufPre{stages: splitRegexes(patternLlama3), ignoreMerges: true, addBOS: true}
	preQwen2  = ggufPre{nfc: true, stages: splitRegexes(patternQwen2)}
	preGPT4o  = ggufPre{stages: splitRegexes(patternO200)}
)

var ggufPres = map[string]ggufPre{
	"gpt-2": preGPT2, "phi-2": preGPT2,
	"mpt":    preNeoX,
	"smollm": preDigits, "starcoder": preDigits, "refact": preDigits,
	"command-r": {nfc: true, stages: []object{digitsStage(true)}, regex: true},
	"llama-bpe": preLlama3, "llama3": preLlama3, "llama-v3": preLlama3, "pixtral": preLlama3,
	"tekken": {stages: splitRegexes(patternTekken), ignoreMerges: true, addBOS: true},
	"qwen2":  preQwen2, "deepseek-r1-qwen": preQwen2,
	"qwen35": {nfc: true, stages: splitRegexes(patternQwen35)},
	"gpt-4o": preGPT4o, "llama4": preGPT4o,
	"deepseek-v3": {stages: splitRegexes(`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`, deepSeekV3)},
	"deepseek-llm": {stages: append(splitRegexes("[\r\n]", deepSeekLetters, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, `[一-龥ࠀ-一가-퟿]+`),
		digitsStage(true))},
	"deepseek-coder": {stages: append(splitRegexes("[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`), digitsStage(true))},
	"falcon": {stages: []object{{"type": "Punctuation", "behavior": "Contiguous"}}, regex: true,
		behind: []object{digitsStage(false), splitRegex("[0-9][0-9][0-9]")}},
}

// byteLevelJSON writes the tokenizer.json of a gpt2 vocabulary.
func (g *ggufVocabulary) byteLevelJSON() ([]byte, error) {
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": g.flag("add_space_prefix", false),
		"trim_offsets": true, "use_regex": g.pre.regex}
	pre := append(append(append([]object{}, g.pre.stages...), byteLevel), g.pre.behind...)
	var normalizer any
	if g.pre.nfc {
		normalizer = object{"type": "NFC"}
	}
	decoder := object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	return g.hfJSON(normalizer, object{"type": "Sequence", "pretokenizers": pre}, decoder, g.bpeModel(nil))
}

// spacedJSON writes the tokenizer.json of a gemma4 vocabulary: text is one piece with spaces as ▁, and what
// is no token becomes bytes.
func (g *ggufVocabulary) spacedJSON() ([]byte, error) {
	space := object{"String": " "}
	var unk any
	if id := g.id("unknown"); id >= 0 {
		unk = g.tokens[id]
	}
	model := g.bpeModel(unk)
	model["fuse_unk"], model["byte_fallback"] = true, true
	decoder := object{"type": "Sequence", "decoders": []object{
		{"type": "Replace", "pattern": object{"String": spaceSymbol}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}}
	return g.hfJSON(object{"type": "Replace", "pattern": space, "content": spaceSymbol},
		object{"type": "Split", "pattern": space, "behavior": "MergedWithPrevious", "invert": false}, decoder, model)
}

func (g *ggufVocabulary) bpeModel(unk any) object {
	merges := g.merges
	if merges == nil {
		merges = []string{}
	}
	return object{"type": "BPE", "dropout": nil, "unk_token": unk, "continuing_subword_prefix": nil,
		"end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false,
		"ignore_merges": g.pre.ignoreMerges, "vocab": orderedVocab(g.tokens), "merges": merges}
}

// hfJSON writes a tokenizer.json.
func (g *ggufVocabulary) hfJSON(normalizer any, pre, decoder, model object) ([]byte, error) {
	return marshal(object{"version": "1.0", "truncation": nil, "padding": nil,
		"added_tokens": g.added(), "normalizer": normalizer, "pre_tokenizer": pre,
		"post_processor": g.postProcessor(), "decoder": decoder, "model": model})
}
