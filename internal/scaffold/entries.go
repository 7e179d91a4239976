package scaffold

import (
	"regexp"
	"slices"

	"berth/internal/config"
)

// entries reads a .env, or at least its names where it cannot be read.
func entries(text string) ([]config.Variable, error) {
	variables, err := config.ParseDotEnv(text)
	if err == nil {
		return variables, nil
	}
	seen := map[string]bool{}
	for _, found := range entryName.FindAllStringSubmatch(text, -1) {
		if !seen[found[1]] {
			seen[found[1]] = true
			variables = append(variables, config.Variable{Name: found[1]})
		}
	}
	return variables, err
}

var entryName = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=`)

// referred returns the variables of a file that a value refers to.
func referred(value string, variables []config.Variable) []string {
	var names []string
	for _, found := range variableIn.FindAllStringSubmatch(value, -1) {
		if slices.ContainsFunc(variables, func(v config.Variable) bool { return v.Name == found[1]+found[2] }) {
			names = append(names, found[1]+found[2])
		}
	}
	return names
}

// expanded puts the values of variables in the place of references to them, as the
// libraries do that read such a file.
func expanded(variables []config.Variable) []config.Variable {
	values := map[string]string{}
	var all []config.Variable
	for _, v := range variables {
		v.Value = variableIn.ReplaceAllStringFunc(v.Value, func(text string) string {
			found := variableIn.FindStringSubmatch(text)
			if value, known := values[found[1]+found[2]]; known {
				return value
			}
			return text
		})
		values[v.Name] = v.Value
		all = append(all, v)
	}
	return all
}

// variableIn is a reference to another variable, as shells write it.
var variableIn = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)
