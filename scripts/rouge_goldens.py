#!/usr/bin/env python3
"""Make the goldens of the rouge package with rouge-score itself.

    python3 -m venv venv && venv/bin/pip install rouge-score==0.1.2 nltk==3.10.4 numpy==2.4.6
    venv/bin/python scripts/rouge_goldens.py

Writes into rouge/testdata: pairs.jsonl (texts with their scores, without and with stemmer), long.json (two long texts),
bootstrap.json (aggregates), types.json (rouge1 to rouge9), stems.tsv (words and stems) and stem_digests.tsv (many more words); and
internal/evaluation/testdata/lead.json: the whole of an evaluation of the ten articles by summaries that are their first
characters. Texts are the project's own articles, cut up and mixed, short cases written by hand, and random characters.
"""

import hashlib
import itertools
import json
import pathlib
import random
import re

import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer, scoring, tokenize

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "rouge/testdata"
TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
ARTICLES = [json.loads(line) for line in open(ROOT / "examples/summarize/testdata/articles.jsonl", encoding="utf-8")]

BY_HAND = [
    ("", ""), ("a", ""), ("", "a"), (" \n\t ", "word"), ("\n\n\n", "\n"), ("...", "!?"), ("one", "one"), ("one", "two"),
    ("one two", "two one"), ("a a a a", "a a"), ("a a", "a a a a"), ("a b a b a", "b a b"),
    ("the cat sat on the mat", "the cats sit on mats"), ("The Cat", "the cat"), ("don't", "do not"), ("don't", "don t"),
    ("state-of-the-art", "state of the art"), ("U.S. 1,234.56", "us 1 234 56"), ("COVID-19", "covid19"), ("x_1", "x 1"),
    ("İstanbul'da KALDI", "istanbul da kaldi"), ("İ", "i"), ("10 \u212a", "10 k"), ("\u212aelvin", "kelvin"), ("Å \u212b", "a"),
    ("café naïve résumé", "cafe naive resume"), ("caf\u00e9", "cafe\u0301"), ("ΑΣ ΣΑΣ", "ας"), ("straße STRASSE", "strasse"),
    ("日本語のテキスト", "日本語"), ("東京 Tokyo 2020", "tokyo 2020"), ("😀 smile 😀", "smile"), ("ﬁne ﬂow", "fine flow"),
    ("１２３ ABC ＡＢＣ", "123 abc"), ("½ ² ³ x²", "x 2"), ("soft\u00adhyphen zero\u200bwidth", "soft hyphen zero width"),
    ("non\u00a0breaking\u2003space", "non breaking space"), ("tab\tand\vvertical\fform", "tab and vertical form"),
    ("line\r\nline two\r\n", "line\nline two"), ("line\rline two", "line\nline two"), ("a\u2028b\u0085c", "a\nb\nc"),
    ("\nleading", "leading\n"), ("a b c\nd e f", "d e f\na b c"), ("a b c\n\n\nd", "a b c d"), ("a\nb\nc", "c\nb\na"),
    ("a b c d\na b c d", "a b c d"), ("a b c d", "a b c d\na b c d"), ("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"),
    ("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"), ("police killed the gunman", "police kill the gunman"),
    ("the gunman kill police", "police killed the gunman"), ("the gunman police killed", "police killed the gunman"),
    ("running runs ran runner", "run running runner"), ("ponies caresses ties cats", "pony caress tie cat"),
    ("yyyyyyyyyy syzygy", "yyyyyyyyyy"), ("\x00nul\x00byte", "nul byte"), ("A" * 300, "a" * 300), ("ab " * 200, "ba " * 150),
    ("x y " * 60, "y x " * 60), ("!\n?\n.", "word"), ("word\n!", "?\nword"), ("0 00 000", "0 000"),
]


def sentences(text):
    return re.split(r"(?<=[.?!\"]) (?=[A-Z\"])", text)


def mixed_pairs(rng):
    """Summaries as models write them: leading sentences, shuffled, shortened, damaged or from another article."""
    pairs = []
    for number, a in enumerate(ARTICLES):
        parts, reference = sentences(a["article"]), a["highlights"]
        other = ARTICLES[(number + 3) % len(ARTICLES)]
        pairs += [
            (a["article"], reference), (reference, a["article"]), (reference, reference), (other["highlights"], reference),
            (" ".join(parts[:3]), reference), ("\n".join(parts[:3]), reference), ("\n".join(parts), "\n".join(reversed(parts))),
            (reference.replace("\n", " "), reference), (reference.upper(), reference),
            ("\n".join(reversed(reference.split("\n"))), reference),
        ]
        words, target = a["article"].split(), reference.split()
        for _ in range(22):
            start, length = rng.randrange(len(words)), rng.randrange(1, 60)
            guess = words[start:start + length] + rng.sample(target, rng.randrange(len(target)))
            if rng.random() < 0.5:
                rng.shuffle(guess)
            guess = [w + "\n" if rng.random() < 0.1 else w for w in guess]
            aim = [w + "\n" if rng.random() < 0.1 else w for w in target if rng.random() < 0.9]
            pairs.append((" ".join(guess), " ".join(aim)))
    # Few distinct words: many equally long subsequences, so that the walk through the table matters.
    for _ in range(120):
        letters = rng.choice(["ab", "abc", "abcdefgh"])
        line = lambda: " ".join(rng.choice(letters) for _ in range(rng.randrange(0, 12)))
        text = lambda: "\n".join(line() for _ in range(rng.randrange(1, 5)))
        pairs.append((text(), text()))
    return pairs


def random_pairs(rng):
    """Texts of all of Unicode, of words that the stemmer changes, and of little but punctuation and newlines."""
    def character():
        kind = rng.random()
        if kind < 0.5:
            return chr(rng.randrange(32, 127))
        if kind < 0.65:
            return rng.choice("\n\r\t\v\f\x00\x1c\x85\u00a0\u00ad\u200b\u2028\u2029\ufeff")
        if kind < 0.75:
            return rng.choice("\u0130\u0131\u212a\u017f\u00df\u212b\u03a3\u03c2\ufb01\u2460\uff12\uff21\uff41")
        point = rng.randrange(0x110000 - 0x800)
        return chr(point if point < 0xD800 else point + 0x800)

    def text():
        kind = rng.random()
        if kind < 0.1:
            return "".join(rng.choice(".,!?;-\u2013\u201c' \n") for _ in range(rng.randrange(12)))
        if kind < 0.5:
            return "".join(character() for _ in range(rng.randrange(80)))
        words = [rng.choice(BASES) + rng.choice(SUFFIXES) for _ in range(rng.randrange(40))]
        return "".join(word + rng.choice([" ", " ", "\n", "\n\n", ", ", "\r\n", "-", "_", "'"]) for word in words)

    pairs = []
    for _ in range(120):
        prediction, reference = text(), text()
        if rng.random() < 0.6:
            parts = prediction.split(" ")
            rng.shuffle(parts)
            reference = " ".join(parts[:rng.randrange(len(parts) + 1)]) + " " + reference
        pairs.append((prediction, reference))
    return pairs


def rows(scores):
    return [[scores[t].precision, scores[t].recall, scores[t].fmeasure] for t in TYPES]


def write_pairs():
    plain, stemmed = (rouge_scorer.RougeScorer(TYPES, use_stemmer=s) for s in (False, True))
    with open(OUT / "pairs.jsonl", "w", encoding="utf-8") as f:
        for prediction, reference in BY_HAND + mixed_pairs(random.Random(1)) + random_pairs(random.Random(3)):
            row = {
                "prediction": prediction, "reference": reference,
                "plain": rows(plain.score(reference, prediction)), "stemmed": rows(stemmed.score(reference, prediction)),
            }
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


def long_text(n, a, b):
    """The formula that the test repeats: n words out of 401, every 16th at the end of a line."""
    return "".join(f"w{(a * i * i + b * i) % 401}" + ("\n" if i % 16 == 15 else " ") for i in range(n))


def write_long():
    """Some seconds of rouge-score, which is Python: once is enough."""
    scores = rouge_scorer.RougeScorer(TYPES).score(long_text(5000, 5, 3), long_text(5200, 7, 2))
    (OUT / "long.json").write_text(json.dumps(rows(scores)) + "\n")


def sample(i, t, m):
    """The formula that the test repeats: numbers without structure, between 0 and 1."""
    return ((7 * t + 3 * m + 1) * i * i + 11 * t * i + 5 * m) % (97 - 4 * t - 2 * m) / 97


def write_bootstrap():
    cases = []
    for n in [1, 2, 3, 5, 10, 20, 21, 64, 100, 333]:
        for seed in [0, 1, 42, 2**32 - 1]:
            aggregator = scoring.BootstrapAggregator()
            for i in range(n):
                aggregator.add_scores({k: scoring.Score(*(sample(i, t, m) for m in range(3))) for t, k in enumerate(TYPES)})
            np.random.seed(seed)
            result = aggregator.aggregate()
            cases.append({"n": n, "seed": seed, **{
                band: rows({k: getattr(result[k], band) for k in TYPES}) for band in ("low", "mid", "high")}})
    with open(OUT / "bootstrap.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


BASES = """able accept act adapt adjust admire adopt agree allow analog angular apply argue arrive atom attach ban bake beat begin
believe big bleed bowdler breed busy buy calm care carry cease change charm chat city civil clap class clear close comic
communicate compute conclude condition conflate confuse connect consign control cool cope copy correct cry cycle dance day deal
decide decorate defend define depend derive die differ digit direct dog draw dry duty dye ease economy edit educate effect
elect electric embody empty enjoy enter equal err establish evolve exist expel explain fail fall family feed feel feudal file
fizz flatter flow fly follow force form formal free friend fruit fulfil full gas general generate geo geology glory go good grace
grow guilt hand happy harm hate heal hear help hesitate hiss history home homolog hop hope host hurry identify idol imagine
impede infer inspect intense invent invite irritate join joy judge jump kill king kiss know lay lazy lead learn leave lie light
live local lodge logic lone love mad magic make manage many marry mass matter mean measure medic mix modern motor move multiply
music nation need negotiate noise normal note obey occur offer open operate oppose organ pay perform permit person philosophy
plan plaster play please plot politic pony possible power practice precise predict prefer press probate process produce
prophecy prove public push quick quiz radical rain rate ration read real reason refer relate rely replace revive rhyme rhythm
river roll run sad say scene sense sensitive serve sew ship shy sing size skip sky smile snow social soft spy stab stop
stratify strong style succeed sun suppose sure tan teach tell theo tie toy translate travel triplicate trouble true try
tune type urge use vague vary vex victory view vile visit voice vowel walk want warm wash watch water weak weigh wet whip
wide win wise woman wonder work world worry write yell yes yield young zero""".split()
SUFFIXES = ["", "s", "es", "ed", "ing", "er", "ers", "ly", "y", "ies", "ied", "ness", "ment", "ments", "able", "ible", "al", "ally",
            "ation", "ations", "ational", "tional", "ator", "ative", "ize", "izer", "ization", "izing", "ism", "ist", "ity", "iveness",
            "ful", "fully", "fulness", "ous", "ously", "ousness", "ive", "ivity", "ance", "ancy", "ence", "ency", "ent", "ently", "ant",
            "ion", "ions", "ic", "ical", "ically", "icate", "icity", "alism", "ality", "alli", "ability", "bly", "logy", "ement", "less",
            "ings", "edly", "ate", "ated", "iti", "eed", "ll", "e"]

# What the stemmer's later steps see when an earlier one has changed the word.
INNER_SUFFIXES = """sses ss enci anci bli abli entli eli ousli aliti iviti biliti fulli logi iciti alize sion tion ou at bl iz""".split()


def words(rng):
    found = set("sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed "
                "a y yy yyy yyyyy yes by say syzygy toy oy ay ayy yay a1 123 4th 1st 2nds 1ing a1ed ied ies sies ties tied died "
                "ing sing ed red bed eed feed agreed freed s ss sss us gas this abli alli ousli logi geologi apologi ology e ee "
                "feeding falling hopping hoping fizzed tanned controll roll rolling ion tion sion onion million passion".split())
    for a in ARTICLES:
        found.update(tokenize.tokenize(a["article"] + " " + a["highlights"], None))
    for base in BASES:
        for suffix in rng.sample(SUFFIXES, 7):
            found.add(base + suffix)
            if base[-1] in "ey":
                found.add(base[:-1] + suffix)
    for _ in range(600):  # no words at all
        stem = "".join(rng.choice("aeiouybcdlstwxzl") for _ in range(rng.randrange(0, 6)))
        found.add(stem + rng.choice(SUFFIXES) + rng.choice(["", "", "s", "ed", "ing", "y", "e", "ly"]))
    return sorted(w for w in found if w)


def write_types():
    """All types in one order and some in another, with and without stemmer, and the aggregate of each: the random stream runs through
    the types in their order. split_summaries is given a splitter of ours, since NLTK's has a model of its own."""
    pairs = mixed_pairs(random.Random(5))[::31] + BY_HAND[::9]
    cases = []
    rouge_scorer.nltk.sent_tokenize = lambda text: re.split(r"(?<=[.?!]) ", text)
    for types, options in [
        ([f"rouge{n}" for n in range(1, 10)] + ["rougeL", "rougeLsum"], {}), (["rougeLsum", "rouge3", "rouge1"], {"use_stemmer": True}),
        (["rouge9"], {}), (["rougeL", "rouge4", "rougeLsum"], {"split_summaries": True}),
    ]:
        scorer = rouge_scorer.RougeScorer(types, **options)
        aggregator = scoring.BootstrapAggregator()
        scores = [scorer.score(reference, prediction) for prediction, reference in pairs]
        for s in scores:
            aggregator.add_scores(s)
        np.random.seed(0)
        result = aggregator.aggregate()
        table = lambda s: [[s[t].precision, s[t].recall, s[t].fmeasure] for t in types]
        cases.append({"types": types, **options, "scores": [table(s) for s in scores[::3]], **{
            band: table({k: getattr(result[k], band) for k in types}) for band in ("low", "mid", "high")}})
    with open(OUT / "types.json", "w", encoding="utf-8") as f:
        f.write(json.dumps({"pairs": pairs}, ensure_ascii=False)[:-1] + ',"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")


def write_stem_digests():
    """Every word of up to four of these letters before every suffix: too many to keep, so SHA-256 of the stems, one a line."""
    stemmer = PorterStemmer()
    starts = ["".join(letters) for n in range(5) for letters in itertools.product("aeybtlw", repeat=n)]
    with open(OUT / "stem_digests.tsv", "w") as f:
        for suffix in SUFFIXES + INNER_SUFFIXES:
            stems = "".join(stemmer.stem(start + suffix) + "\n" for start in starts)
            f.write(f"{suffix}\t{hashlib.sha256(stems.encode()).hexdigest()}\n")


def write_stems():
    stemmer = PorterStemmer()
    with open(OUT / "stems.tsv", "w") as f:
        for word in words(random.Random(2)):
            f.write(f"{word}\t{stemmer.stem(word)}\n")


def write_lead():
    """summarize.py's loop: shuffled rows, batches, max_ite, and the metric as Hugging Face's "evaluate" computes it."""
    scorer = rouge_scorer.RougeScorer(TYPES, use_stemmer=False)
    cases = []
    for seed, batch_size, max_ite, length in [(0, 1, 20, 200), (0, 2, 3, 200), (42, 3, 2, 120), (7, 4, 20, 400)]:
        order = np.random.default_rng(seed).permutation(len(ARTICLES)).tolist()[:batch_size * max_ite]
        aggregator = scoring.BootstrapAggregator()
        scores = [scorer.score(ARTICLES[row]["highlights"], ARTICLES[row]["article"][:length]) for row in order]
        for s in scores:
            aggregator.add_scores(s)
        np.random.seed(0)
        result = aggregator.aggregate()
        cases.append({
            "seed": seed, "batch_size": batch_size, "max_ite": max_ite, "length": length, "rows": order,
            "median": [100 * result[t].mid.fmeasure for t in TYPES],
            "mean": [100 * float(np.mean([s[t].fmeasure for s in scores])) for t in TYPES],
        })
    out = ROOT / "internal/evaluation/testdata"
    out.mkdir(parents=True, exist_ok=True)
    (out / "lead.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_lead()
    write_pairs()
    write_long()
    write_bootstrap()
    write_types()
    write_stems()
    write_stem_digests()
