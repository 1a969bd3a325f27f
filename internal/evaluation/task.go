package evaluation

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/internal/dataset"
)

// Task is what upstream's --eval_task names: a data set, and how its texts become prompts.
type Task struct {
	Name   string
	Source dataset.ArticleSource
	// Plain makes the text alone the prompt (see Prompter).
	Plain bool
	// PerplexityOnly generates one token and asks for the perplexity.
	PerplexityOnly bool
}

// tasks are upstream's.
var tasks = []Task{
	{Name: "summarize", Source: dataset.CNNDailyMail},
	{Name: "summarize_long", Plain: true, Source: dataset.ArticleSource{
		Text: "input", Highlights: "output", ID: "id", Sets: []string{"tau/zero_scrolls", "zero_scrolls"}, Configs: []string{"squality"}, Split: "validation"}},
	{Name: "code_completion", Plain: true, Source: dataset.ArticleSource{
		Text: "prompt", Highlights: "canonical_solution", ID: "task_id", Sets: []string{"openai_humaneval"}, Configs: []string{"openai_humaneval"}, Split: "test"}},
	{Name: "eval_context_ppl", Plain: true, PerplexityOnly: true, Source: dataset.ArticleSource{
		Text: "text", Highlights: "text", ID: "id", Sets: []string{"DKYoon/SlimPajama-6B", "SlimPajama-6B"}, Configs: []string{"default"}, Split: "test"}},
}

// TaskNamed finds a task. An unknown name is an error that wraps ErrOptions and lists the names there are.
func TaskNamed(name string) (Task, error) {
	var names []string
	for _, t := range tasks {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Task{}, fmt.Errorf("%w: no task is named %q; there are %s", ErrOptions, name, strings.Join(names, ", "))
}
