package config

import (
	"strings"
	"testing"
)

func TestDotEnvLines(t *testing.T) {
	for _, test := range []struct{ line, name, value string }{
		{"", "", ""},
		{"   # comment", "", ""},
		{"A=b", "A", "b"},
		{"A=", "A", ""},
		{" A = b c ", "A", "b c"},
		{"export A=b", "A", "b"},
		{"export\tA=b", "A", "b"},
		{"export=b", "export", "b"},
		{"A=b # comment", "A", "b"},
		{"A= # comment", "A", ""},
		{"A=b#c", "A", "b#c"},
		{"A=#b", "A", "#b"},
		{"A=b=c", "A", "b=c"},
		{"A=$HOME", "A", "$HOME"},
		{"A=`id`", "A", "`id`"},
		{`A='b # "c" \n'`, "A", `b # "c" \n`},
		{`A="b # 'c'" # comment`, "A", "b # 'c'"},
		{`A="\"\\\$\n\r\t"`, "A", "\"\\$\n\r\t"},
		{`A=""`, "A", ""},
		{`A=b"c"`, "A", `b"c"`},
	} {
		name, value, err := parseVariable(test.line)
		if err != nil || name != test.name || value != test.value {
			t.Errorf("%s: got %q=%q, %v; want %q=%q", test.line, name, value, err, test.name, test.value)
		}
	}
}

func TestDotEnvFiles(t *testing.T) {
	values, err := parseDotEnv("\ufeffA=1\r\n\r\n# x\r\nB=2")
	if err != nil || len(values) != 2 || values["A"] != "1" || values["B"] != "2" {
		t.Errorf("got %v, %v", values, err)
	}
}

func TestDotEnvMistakesNameTheLineAndNeverTheSecret(t *testing.T) {
	for source, want := range map[string]string{
		"A=1\nhunter2":        "line 2: must be NAME=VALUE",
		"hunter2 = x":         "",
		"1A=hunter2":          "line 1: must be NAME=VALUE",
		"A B=hunter2":         "line 1: must be NAME=VALUE",
		`A="hunter2`:          "line 1: the closing quote is missing",
		`A='hunter2' more`:    "line 1: something follows the closing quote",
		`A="hunter2\x"`:       "line 1: a backslash",
		"A=1\nB=2\nA=hunter2": "line 3: A is set already in line 1",
		"A=hunter2\x00":       "line 1: is not text",
		"A=hunter2\xff":       "line 1: is not text",
	} {
		_, err := parseDotEnv(source)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", source, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %q without the secret", source, err, want)
		}
	}
}

// FuzzDotEnv checks that no file makes the parser panic, that names are those
// of variables, that values hold no line end that was not escaped, and that a
// value read is read the same when it is written between single quotes.
func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{"A=b", "export A='b' # c", `A="b\n"`, "# c\n\nA=", "A=b #c\r\nB=$A", "\ufeffA=1", `A="\`, "A='"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		values, err := parseDotEnv(source)
		if err != nil {
			return
		}
		for name, value := range values {
			if !isVariable(name) {
				t.Errorf("name %q", name)
			}
			if strings.ContainsRune(value, 0) {
				t.Errorf("value %q", value)
			}
			if strings.ContainsAny(value, "'\n\r") {
				continue
			}
			again, err := parseDotEnv(name + "='" + value + "'")
			if err != nil || again[name] != value {
				t.Errorf("%q is read again as %q, %v", value, again[name], err)
			}
		}
	})
}
