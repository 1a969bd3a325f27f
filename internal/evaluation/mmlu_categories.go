package evaluation

import "slices"

// mmluGroup is a sub-category of the data set, with its subjects.
type mmluGroup struct {
	name     string
	category string
	subjects []string
}

// The data set's own four categories, in the order in which they are printed.
const (
	mmluSTEM       = "STEM"
	mmluHumanities = "humanities"
	mmluSocial     = "social sciences"
	mmluOther      = "other (business, health, misc.)"
)

var mmluCategories = []string{mmluSTEM, mmluHumanities, mmluSocial, mmluOther}

// mmluGroups are in the order in which upstream prints them: that of each one's first subject.
var mmluGroups = []mmluGroup{
	{"math", mmluSTEM, []string{"abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_mathematics", "high_school_statistics"}},
	{"health", mmluOther, []string{
		"anatomy", "clinical_knowledge", "college_medicine", "human_aging", "medical_genetics", "nutrition", "professional_medicine", "virology",
	}},
	{"physics", mmluSTEM, []string{"astronomy", "college_physics", "conceptual_physics", "high_school_physics"}},
	{"business", mmluOther, []string{"business_ethics", "management", "marketing"}},
	{"biology", mmluSTEM, []string{"college_biology", "high_school_biology"}},
	{"chemistry", mmluSTEM, []string{"college_chemistry", "high_school_chemistry"}},
	{"computer science", mmluSTEM, []string{"college_computer_science", "computer_security", "high_school_computer_science", "machine_learning"}},
	{"economics", mmluSocial, []string{"econometrics", "high_school_macroeconomics", "high_school_microeconomics"}},
	{"engineering", mmluSTEM, []string{"electrical_engineering"}},
	{"philosophy", mmluHumanities, []string{"formal_logic", "logical_fallacies", "moral_disputes", "moral_scenarios", "philosophy", "world_religions"}},
	{"other", mmluOther, []string{"global_facts", "miscellaneous", "professional_accounting"}},
	{"history", mmluHumanities, []string{"high_school_european_history", "high_school_us_history", "high_school_world_history", "prehistory"}},
	{"geography", mmluSocial, []string{"high_school_geography"}},
	{"politics", mmluSocial, []string{"high_school_government_and_politics", "public_relations", "security_studies", "us_foreign_policy"}},
	{"psychology", mmluSocial, []string{"high_school_psychology", "professional_psychology"}},
	{"culture", mmluSocial, []string{"human_sexuality", "sociology"}},
	{"law", mmluHumanities, []string{"international_law", "jurisprudence", "professional_law"}},
}

// mmluGroupOf is the sub-category of a subject; nil for one that the data set has not got.
func mmluGroupOf(subject string) *mmluGroup {
	for i := range mmluGroups {
		if slices.Contains(mmluGroups[i].subjects, subject) {
			return &mmluGroups[i]
		}
	}
	return nil
}
