package evaluation

import (
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/trtgo/trtgo/internal/outputfile"
	"github.com/trtgo/trtgo/rouge"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pageData is what the page shows.
type pageData struct {
	Title                    string
	Samples, OutputTokens    int
	Seconds, TokensPerSecond float64
	Names                    [4]string
	HasPerplexity            bool
	Beams                    []pageBeam
	Charts                   []template.HTML
	Settings                 []Setting
	Rows                     []pageRow
}

type pageBeam struct {
	Median, Mean [4]float64
	Range        [4]string
	Perplexity   float64
}

type pageRow struct {
	Title, Article, Reference              string
	Index, Row, PromptTokens, OutputTokens int
	Summaries                              []pageSummary
}

type pageSummary struct{ Text, Scores string }

// WritePage writes the result as one HTML page that needs no other file and no network: the scores, how they are distributed, the
// settings, and reference and summaries of each article side by side. All text is escaped; a summary is a model's.
func (r *Result) WritePage(w io.Writer, settings []Setting) error {
	data := pageData{
		Title: "Summaries and their ROUGE", Samples: len(r.Samples), OutputTokens: r.OutputTokens, Seconds: r.Latency.Seconds(),
		TokensPerSecond: r.TokensPerSecond(), Names: fmeasureNames, HasPerplexity: len(r.Perplexities) > 0, Settings: settings,
	}
	for i, beam := range r.Beams {
		b := pageBeam{Median: fmeasuresOf(beam.Median).values(), Mean: fmeasuresOf(beam.Mean).values()}
		low, high := fmeasuresOf(beam.Low).values(), fmeasuresOf(beam.High).values()
		for kind := range low {
			b.Range[kind] = fmt.Sprintf("%.2f – %.2f", low[kind], high[kind])
		}
		if data.HasPerplexity {
			b.Perplexity = r.Perplexities[i]
		}
		data.Beams = append(data.Beams, b)
	}
	if len(r.Beams) > 0 {
		data.Charts = r.charts()
	}
	for i := range r.Samples {
		data.Rows = append(data.Rows, rowOf(&r.Samples[i]))
	}
	return pageTemplate.Execute(w, data)
}

// charts draws the first beam's kinds of ROUGE.
func (r *Result) charts() []template.HTML {
	var charts []template.HTML
	medians := fmeasuresOf(r.Beams[0].Median).values()
	for kind, name := range fmeasureNames {
		var values []float64
		for _, s := range r.beamScores(0) {
			values = append(values, fmeasuresOf(s).values()[kind]/100)
		}
		charts = append(charts, template.HTML(histogram(name, values, medians[kind]/100))) // numbers and our own words alone
	}
	return charts
}

func rowOf(s *Sample) pageRow {
	row := pageRow{
		Title: s.Article.ID, Article: s.Article.Text, Reference: s.Article.Highlights,
		Index: s.Index, Row: s.Row, PromptTokens: s.PromptTokens, OutputTokens: s.OutputTokens,
	}
	if strings.TrimSpace(row.Title) == "" {
		row.Title = fmt.Sprintf("article %d", s.Row+1)
	}
	for beam, text := range s.Summaries {
		summary := pageSummary{Text: text}
		if beam < len(s.Scores) {
			summary.Scores = scoresText(s.Scores[beam])
		}
		if beam < len(s.Perplexities) {
			summary.Scores += fmt.Sprintf(", perplexity %.3f", s.Perplexities[beam])
		}
		row.Summaries = append(row.Summaries, summary)
	}
	return row
}

func scoresText(s rouge.Scores) string {
	var parts []string
	for i, value := range fmeasuresOf(s).values() {
		parts = append(parts, fmt.Sprintf("%s %.1f", fmeasureNames[i], value))
	}
	return strings.Join(parts, ", ")
}

// Page is a file for WritePage that is opened before an evaluation, so that a path which cannot be written is known at once.
type Page struct{ file *outputfile.File }

// CreatePage opens it. Close must be called; the file appears with Commit alone.
func CreatePage(path string) (*Page, error) {
	file, err := outputfile.Create(path)
	if err != nil {
		return nil, fmt.Errorf("the report: %w", err)
	}
	return &Page{file}, nil
}

// Commit writes the page.
func (p *Page) Commit(r *Result, settings []Setting) error {
	err := r.WritePage(p.file, settings)
	if err == nil {
		err = p.file.Commit()
	}
	if err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return nil
}

// Close removes what was not committed.
func (p *Page) Close() { p.file.Discard() }
