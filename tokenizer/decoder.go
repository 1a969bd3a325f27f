package tokenizer

import (
	"bytes"
	"fmt"
)

// Decoder turns ids into text one at a time. What it has returned is always whole UTF-8 and a
// prefix of the text that Decode gives for all the ids; with Flush's it is that text. It is for
// one goroutine and one sequence.
type Decoder struct {
	t     *Tokenizer
	skip  bool
	state decodeState
	clean []replacement // nil without clean_up_tokenization_spaces
	text  []byte        // decoded, not yet taken
}

// NewDecoder starts a decoding.
func (t *Tokenizer) NewDecoder(o DecodeOptions) *Decoder {
	d := &Decoder{t: t, skip: o.SkipSpecialTokens, state: t.decoding.newState()}
	if t.cleanUp {
		d.clean = newCleanUp()
	}
	return d
}

// Add takes the next id and returns the text that has become certain, which may be empty: the
// bytes of an unfinished character are kept back. An id without a token is an error that wraps
// ErrUnknownID and leaves the decoder as it was.
func (d *Decoder) Add(id int32) (string, error) {
	if err := d.add(id); err != nil {
		return "", err
	}
	return d.take(), nil
}

// Flush returns what was kept back; an unfinished character becomes U+FFFD. The decoder is then
// ready for a new sequence.
func (d *Decoder) Flush() string {
	d.finish()
	d.state = d.t.decoding.newState()
	return d.take()
}

func (d *Decoder) add(id int32) error {
	if _, ok := d.t.vocab.token(id); !ok {
		return fmt.Errorf("%w %d (the vocabulary has ids up to %d)", ErrUnknownID, id, d.t.vocab.size()-1)
	}
	// A SentencePiece control token is shown to the state even so: it ends a run of byte pieces.
	if d.skip && d.t.isSpecial(id) && !d.t.control[id] {
		return nil
	}
	if d.clean == nil {
		d.text = d.state.add(d.text, id, !d.skip)
		return nil
	}
	d.cleaned(d.state.add(nil, id, !d.skip), false)
	return nil
}

func (d *Decoder) finish() {
	if d.clean == nil {
		d.text = d.state.flush(d.text)
		return
	}
	d.cleaned(d.state.flush(nil), true)
}

func (d *Decoder) cleaned(text []byte, final bool) {
	for i := range d.clean {
		text = d.clean[i].feed(text, final)
	}
	d.text = append(d.text, text...)
}

func (d *Decoder) take() string {
	s := string(d.text)
	d.text = d.text[:0]
	return s
}

// cleanUpPairs are the replacements of transformers' clean_up_tokenization, in its order.
var cleanUpPairs = [][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"},
	{" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

// replacement is a streaming strings.ReplaceAll: it keeps back a possible beginning of old.
type replacement struct {
	old, new string
	held     []byte
}

func newCleanUp() []replacement {
	r := make([]replacement, len(cleanUpPairs))
	for i, p := range cleanUpPairs {
		r[i] = replacement{old: p[0], new: p[1]}
	}
	return r
}

func (r *replacement) feed(in []byte, final bool) []byte {
	in = append(r.held, in...)
	r.held = nil
	var out []byte
	for {
		i := bytes.Index(in, []byte(r.old))
		if i < 0 {
			break
		}
		out = append(append(out, in[:i]...), r.new...)
		in = in[i+len(r.old):]
	}
	keep := 0
	if !final {
		for n := min(len(r.old)-1, len(in)); n > 0; n-- {
			if bytes.HasSuffix(in, []byte(r.old[:n])) {
				keep = n
				break
			}
		}
	}
	r.held = append([]byte(nil), in[len(in)-keep:]...)
	return append(out, in[:len(in)-keep]...)
}
