package nemo

import (
	"fmt"
	"path"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/filetree"
)

// maxTokenizer bounds one file of a tokenizer; the largest known has 35 MB.
const maxTokenizer = 256 << 20

// collectTokenizer finds the tokenizer's files. A tokenizer that cannot travel
// along is a note, never an error: the weights are what matters.
func (m *Model) collectTokenizer(t filetree.Tree) error {
	s := &m.settings.tokenizer
	switch kind := strings.ToLower(s.library + " " + s.kind); {
	case s.library == "sentencepiece", strings.Contains(kind, "sentencepiece"):
		return m.takeTokenizer(t, map[string]string{"tokenizer.model": s.model})
	case s.library == "megatron" && s.vocab != "" && s.merges != "":
		return m.takeTokenizer(t, map[string]string{"vocab.json": s.vocab, "merges.txt": s.merges})
	case s.library == "huggingface":
		return m.takeHuggingFace(t)
	case s.library == "":
		m.notes = append(m.notes, "the config names no tokenizer: put the model's tokenizer files beside the checkpoint")
	default:
		m.notes = append(m.notes, fmt.Sprintf("a tokenizer of library %.50s cannot travel along: put the model's tokenizer files beside the checkpoint", s.library))
	}
	return nil
}

// takeTokenizer reads the artefacts under the names that the target knows.
func (m *Model) takeTokenizer(t filetree.Tree, wanted map[string]string) error {
	for _, name := range []string{"tokenizer.model", "vocab.json", "merges.txt"} {
		value, ok := wanted[name]
		if !ok {
			continue
		}
		found, ok := artefact(t, value, name)
		if !ok {
			m.notes = append(m.notes, fmt.Sprintf("the tokenizer's file %.200q is not here: put the model's tokenizer files beside the checkpoint", value))
			continue
		}
		data, err := filetree.ReadFile(t, found, maxTokenizer)
		if err != nil {
			return err
		}
		m.files = append(m.files, source.File{Name: name, Data: data})
	}
	return nil
}

// artefact finds a registered file. Its value in the config is "nemo:" and a name
// in the archive's root; very old files have the path of the machine that trained
// the model, of which the last part may be there, alone or after a hash.
func artefact(t filetree.Tree, value, fallback string) (string, bool) {
	value = strings.TrimPrefix(value, "nemo:")
	if value == "" {
		return "", false
	}
	base := path.Base(value)
	var hashed, alike []string
	for _, name := range t.Names() {
		switch {
		case name == strings.TrimPrefix(value, "./"), name == base:
			return name, true
		case strings.HasSuffix(name, "_"+base) && !strings.Contains(name, "/"):
			hashed = append(hashed, name)
		case path.Ext(fallback) == ".model" && path.Ext(name) == ".model" && !strings.Contains(name, "/"):
			alike = append(alike, name)
		}
	}
	for _, found := range [][]string{hashed, alike} {
		if len(found) > 0 {
			return found[0], true
		}
	}
	return "", false
}

// takeHuggingFace takes the files that NeMo 2 saves in a directory of context/.
func (m *Model) takeHuggingFace(t filetree.Tree) error {
	id := m.settings.tokenizer.kind
	dir := strings.Trim(path.Clean(id), "/") + "/"
	if id == "" || strings.HasPrefix(dir, "..") {
		dir = "nemo_tokenizer/"
	}
	names := map[string]bool{}
	for _, name := range t.Names() {
		names[name] = true
	}
	for _, name := range checkpoint.TokenizerNames() {
		for _, found := range []string{dir + name, "nemo_tokenizer/" + name} {
			if !names[found] {
				continue
			}
			data, err := filetree.ReadFile(t, found, maxTokenizer)
			if err != nil {
				return err
			}
			m.files = append(m.files, source.File{Name: name, Data: data})
			break
		}
	}
	if len(m.files) == 0 {
		m.notes = append(m.notes, fmt.Sprintf("the tokenizer is Hugging Face's %.200q and is not here: put its files beside the checkpoint", id))
	}
	return nil
}
