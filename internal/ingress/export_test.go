package ingress

// AnnotationNames are those of the annotations that are honoured.
func AnnotationNames() (names []string) {
	for _, known := range parsers {
		names = append(names, known.name)
	}
	return names
}
