package nativeexecutor

// explain is the sentence for a native error text.
func explain(text string) string { return text }
