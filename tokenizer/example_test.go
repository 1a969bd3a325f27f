package tokenizer_test

import (
	"fmt"
	"log"

	"github.com/trtgo/trtgo/tokenizer"
)

func Example() {
	tok, err := tokenizer.Open("testdata/hf_bbpe_llama3")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := tok.Encode("Wir hören 12 Töne", tokenizer.EncodeOptions{AddSpecialTokens: true})
	if err != nil {
		log.Fatal(err)
	}
	text, err := tok.Decode(ids, tokenizer.DecodeOptions{SkipSpecialTokens: true})
	if err != nil {
		log.Fatal(err)
	}
	first, _ := tok.Token(ids[0])
	fmt.Println(first, "+", text)
	// Output: <|bos|> + Wir hören 12 Töne
}

// A decoder gives text while ids come in, and never half a character.
func ExampleTokenizer_NewDecoder() {
	tok, err := tokenizer.Open("testdata/hf_bbpe_llama3")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := tok.Encode("ab🎉", tokenizer.EncodeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	d := tok.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: true})
	for _, id := range ids {
		chunk, err := d.Add(id)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q ", chunk)
	}
	fmt.Printf("%q\n", d.Flush())
	// Output: "a" "b" "" "" "🎉" ""
}
