package catalog

// Near returns at most three of the known names that may have been meant by
// the name, the likeliest first.
func Near(name string, known []string) []string { return nearest(name, known) }
