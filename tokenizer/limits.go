package tokenizer

import (
	"encoding/json"
	"slices"
)

// limits are the truncation and padding of a tokenizer.json. transformers ignores them unless it is asked to
// cut or pad, the plain library obeys them; here EncodeOptions.FileLimits says which.
type limits struct {
	truncation *truncation
	padding    *padding
}

type truncation struct {
	Direction string `json:"direction"`
	MaxLength *int64 `json:"max_length"`
	Strategy  string `json:"strategy"`
	Stride    *int64 `json:"stride"`
}

type padding struct {
	Strategy   json.RawMessage `json:"strategy"`
	Direction  string          `json:"direction"`
	MultipleOf *int64          `json:"pad_to_multiple_of"`
	ID         *int64          `json:"pad_id"`
	TypeID     *int64          `json:"pad_type_id"`
	Token      *string         `json:"pad_token"`

	fixed int64 // of the strategy Fixed; 0: as long as the longest text of a batch
}

// maxPadding bounds what a file can make of an empty text.
const maxPadding = 1 << 24

func (t *Tokenizer) parseLimits(rawTruncation, rawPadding string) error {
	if rawTruncation != "" {
		if err := json.Unmarshal([]byte(rawTruncation), &t.limits.truncation); err != nil {
			return invalid("truncation: %v", err)
		}
	}
	if rawPadding != "" {
		if err := json.Unmarshal([]byte(rawPadding), &t.limits.padding); err != nil {
			return invalid("padding: %v", err)
		}
	}
	if err := t.limits.truncation.check(); err != nil {
		return err
	}
	return t.limits.padding.check()
}

func (t *truncation) check() error {
	if t == nil {
		return nil
	}
	if t.MaxLength == nil || t.Stride == nil || *t.MaxLength < 0 || *t.Stride < 0 {
		return invalid("truncation needs max_length and stride, both 0 or more")
	}
	if t.Direction == "" {
		t.Direction = "Right"
	}
	if t.Direction != "Left" && t.Direction != "Right" {
		return invalid("truncation has direction %q, want Left or Right", t.Direction)
	}
	if !slices.Contains([]string{"LongestFirst", "OnlyFirst", "OnlySecond"}, t.Strategy) {
		return invalid("truncation has strategy %q, want LongestFirst, OnlyFirst or OnlySecond", t.Strategy)
	}
	return nil
}

func (p *padding) check() error {
	if p == nil {
		return nil
	}
	if p.ID == nil || *p.ID < 0 || *p.ID > 1<<31-1 {
		return invalid("padding has no pad_id that could be an id")
	}
	if p.Direction != "Left" && p.Direction != "Right" {
		return invalid("padding has direction %q, want Left or Right", p.Direction)
	}
	if string(p.Strategy) != `"BatchLongest"` {
		var fixed struct{ Fixed *int64 }
		if err := json.Unmarshal(p.Strategy, &fixed); err != nil || fixed.Fixed == nil {
			return invalid("padding has strategy %s, want \"BatchLongest\" or {\"Fixed\": length}", p.Strategy)
		}
		p.fixed = *fixed.Fixed
	}
	if m := value(p.MultipleOf); p.fixed < 0 || p.fixed > maxPadding || m < 0 || m > maxPadding {
		return invalid("padding to %d ids, or a multiple of %d; allowed are 0 to %d", p.fixed, m, maxPadding)
	}
	return nil
}

// truncate cuts the ids of a text so that added more fit.
func (t *truncation) truncate(ids []int32, added int) ([]int32, error) {
	if t == nil {
		return ids, nil
	}
	room := *t.MaxLength - int64(added)
	if room < 0 || int64(len(ids)) <= room {
		return ids, nil // the library cuts nothing where what is added alone is too long
	}
	if t.Strategy == "OnlySecond" && room > 0 {
		return nil, invalid("truncation cuts the second of two texts only, and there is one")
	}
	if room > 0 && *t.Stride >= room {
		return nil, invalid("truncation has stride %d, which must be less than the %d ids that a text may have", *t.Stride, room)
	}
	if t.Direction == "Left" {
		return ids[int64(len(ids))-room:], nil
	}
	return ids[:room], nil
}

// pad fills up the ids of a text that is encoded alone.
func (p *padding) pad(ids []int32) []int32 {
	if p == nil {
		return ids
	}
	want := max(int64(len(ids)), p.fixed)
	if p.fixed > 0 && int64(len(ids)) > p.fixed {
		want = p.fixed
	}
	if m := value(p.MultipleOf); m > 0 && want%m > 0 {
		want += m - want%m
	}
	if n := want - int64(len(ids)); n > 0 {
		fill := slices.Repeat([]int32{int32(*p.ID)}, int(n))
		if p.Direction == "Left" {
			return append(fill, ids...)
		}
		return append(ids, fill...)
	}
	return ids
}
