package nativeexecutor

// explain is the plain sentence for a native error text.
func explain(text string) string { return text }
