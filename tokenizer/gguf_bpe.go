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

// Patterns of DeepSeek-LLM, in escapes: some characters look like others.
const deepSeekLetters = "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-" +
	"\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5" +
	"\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D" +
	"\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB" +
	"\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134" +
	"\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B" +
	"\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F" +
	"\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943]+"

const (
	deepSeekMarks = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"
	deepSeekHan   = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
)

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
	"deepseek-llm": {stages: append(splitRegexes("[\r\n]", deepSeekLetters, deepSeekMarks, `\s+$`, deepSeekHan),
		digitsStage(true))},
	"deepseek-coder": {stages: append(splitRegexes("[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`, deepSeekHan), digitsStage(true))},
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
