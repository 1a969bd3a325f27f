"""Writes tokenizer/unicode.bin: what Hugging Face tokenizers and the Oniguruma in it think of each character.

    unicode_tables.py [SCRIPTS...]   names of scripts, default: those of Unicode 16

The file is zlib-compressed: for each table its name and a newline, the number of its runs, and for each run how many code
points it has and its value, numbers as varints. A table covers all code points; surrogates have the value of what is before them.

Needs: tokenizers==0.23.3.
"""
import os
import sys
import zlib

from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille
Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic
Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati
Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi
Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin Lepcha
Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui
Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu
Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic
Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian
Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil
Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi
Zanabazar_Square""".split()


def removed(pre_tokenizer):
    """The code points that a pre-tokenizer removes."""
    out = set()
    for i in range(0, len(POINTS), 20000):
        part = POINTS[i : i + 20000]
        others = {ord(c) for piece, _ in pre_tokenizer.pre_tokenize_str("".join(map(chr, part))) for c in piece}
        out.update(c for c in part if c not in others)
    return out


def regex(pattern):
    return removed(pre_tokenizers.Split(Regex(pattern), "removed"))


def dropped(normalizer):
    """The code points that a normalizer drops and decomposition leaves alone."""
    nfd = normalizers.NFD()
    return {c for c in POINTS if normalizer.normalize_str("a" + chr(c) + "a") == "aa" and nfd.normalize_str(chr(c)) == chr(c)}


def library_scripts():
    """UnicodeScripts as numbers from 1, 0 for what goes with any script: characters that it keeps together have the same."""
    cut = pre_tokenizers.UnicodeScripts()
    together = lambda a, b: len(cut.pre_tokenize_str(chr(a) + chr(b))) == 1
    representatives, table, last = [], {}, None
    for c in POINTS:
        if last is not None and table[last] and together(last, c) and not together_with_all(together, c, representatives):
            table[c] = table[last]
        elif together_with_all(together, c, representatives):
            table[c] = 0
        else:
            table[c] = next((i + 1 for i, r in enumerate(representatives) if together(r, c)), 0)
            if not table[c]:
                representatives.append(c)
                table[c] = len(representatives)
        last = c
    return table


def together_with_all(together, c, representatives):
    return together(0x61, c) and together(0x4E00, c)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(name, table):
    """table maps code points to small numbers, 0 where it lacks them."""
    runs, previous = [], None
    for c in range(0x110000):
        value = previous if 0xD800 <= c < 0xE000 else table.get(c, 0)
        if runs and value == previous:
            runs[-1][0] += 1
        else:
            runs.append([1, value])
        previous = value
    return name.encode() + b"\n" + varint(len(runs)) + b"".join(varint(n) + varint(v) for n, v in runs)


def union(sets):
    return {c: i for i, s in enumerate(sets) for c in s}


def main():
    scripts = sys.argv[1:] or SCRIPTS
    bits = [regex(r"\w"), regex(r"[[:alpha:]]"), regex(r"[[:upper:]]"), regex(r"[[:lower:]]"), regex(r"[[:word:]]")]
    whitespace = pre_tokenizers.Whitespace()
    word = {c for c in POINTS if len(p := whitespace.pre_tokenize_str("a" + chr(c))) == 1 and len(p[0][0]) == 2}
    bert = dict(clean_text=False, handle_chinese_chars=False, lowercase=False)
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    flags = [word, removed(pre_tokenizers.Punctuation("removed")), {c for c in POINTS if len(pre_tokenizers.Digits(True).pre_tokenize_str("a" + chr(c) + "a")) == 3},
             dropped(normalizers.BertNormalizer(strip_accents=True, **bert)), {c for c in POINTS if normalizers.StripAccents().normalize_str("a" + chr(c) + "a") == "aa"},
             {c for c in POINTS if clean.normalize_str("a" + chr(c) + "a") == "aa"}]
    mask = lambda sets: {c: sum(1 << i for i, s in enumerate(sets) if c in s) for c in set().union(*sets)}
    data = b"".join([
        encode("category " + " ".join(CATEGORIES), union(regex(r"\p{%s}" % name) for name in CATEGORIES)),
        encode("script Unknown " + " ".join(scripts), union([()] + [regex(r"\p{%s}" % name) for name in scripts])),
        encode("oniguruma word alpha upper lower posixword", mask(bits)),
        encode("rust word punctuation numeric nonspacing combining control", mask(flags)),
        encode("pretokenizer", library_scripts()),
    ])
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "unicode.bin")
    with open(path, "wb") as f:
        f.write(zlib.compress(data, 9))
    print(len(data), os.path.getsize(path))


if __name__ == "__main__":
    main()
