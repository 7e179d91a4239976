package config

import (
	"reflect"
	"strings"
	"testing"
)

const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\nnQ0=\n-----END PRIVATE KEY-----\n"

func TestDotEnvEntries(t *testing.T) {
	for _, test := range []struct{ source, name, value string }{
		{"A=b", "A", "b"},
		{"A=", "A", ""},
		{" A = b c ", "A", "b c"},
		{"\tA\t=\tb\t", "A", "b"},
		{"export A=b", "A", "b"},
		{" export\tA=b", "A", "b"},
		{"export=b", "export", "b"},
		{"A=b # comment", "A", "b"},
		{"A=b\t# comment", "A", "b"},
		{"A= # comment", "A", ""},
		{"A=b#c", "A", "b#c"},
		{"A=#fff", "A", "#fff"},
		{"A=b=c", "A", "b=c"},
		{"A==", "A", "="},
		{"A=pa$$word", "A", "pa$$word"},
		{"A=${B:-c}", "A", "${B:-c}"},
		{"A=`id`", "A", "`id`"},
		{`A=C:\new`, "A", `C:\new`},
		{`A=it's "so"`, "A", `it's "so"`},
		{"A=ä€", "A", "ä€"},
		{`A=b"c"`, "A", `b"c"`},
		{`A=""`, "A", ""},
		{`A='' # comment`, "A", ""},
		{`A='b # "c" \n $d'`, "A", `b # "c" \n $d`},
		{`A="b # 'c'" # comment`, "A", "b # 'c'"},
		{`A="\"\\\$\n\r\t$"`, "A", "\"\\$\n\r\t$"},
		{`A="\\"`, "A", `\`},
		{`A=" b "`, "A", " b "},
		{"A='b\nc'", "A", "b\nc"},
		{"A=\"b\r\nc\" # comment\r\n", "A", "b\nc"},
		{"A='" + pem + "'", "A", pem},
		{`A="` + pem + `"`, "A", pem},
		{`A="` + strings.ReplaceAll(pem, "\n", `\n`) + `"`, "A", pem},
		{`A='{"b": "c",` + "\n" + ` "d=": "# e"}'`, "A", `{"b": "c",` + "\n" + ` "d=": "# e"}`},
		{"A=-----BEGIN X-----\\n-----END X-----", "A", `-----BEGIN X-----\n-----END X-----`},
	} {
		got, err := ParseDotEnv(test.source)
		if want := []Variable{{test.name, test.value}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, %v; want %q", test.source, got, err, want)
		}
	}
}

func TestDotEnvFiles(t *testing.T) {
	source := "\ufeffA=1\r\n\r\n  # x\r\nB='2\r\n# no comment\r\n\r\nC=no entry'\r\nexport D=4 # four\r\nE=\r\n#F=6"
	want := []Variable{{"A", "1"}, {"B", "2\n# no comment\n\nC=no entry"}, {"D", "4"}, {"E", ""}}
	if got, err := ParseDotEnv(source); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestDotEnvMistakesNameTheLineAndNeverTheSecret(t *testing.T) {
	for source, want := range map[string]string{
		"A=1\nhunter2":               "line 2: must be NAME=VALUE",
		"1A=hunter2":                 "line 1: must be NAME=VALUE",
		"A B=hunter2":                "line 1: must be NAME=VALUE",
		"A: hunter2":                 "line 1: must be NAME=VALUE",
		"export A":                   "line 1: must be NAME=VALUE",
		"=hunter2":                   "line 1: must be NAME=VALUE",
		"B=1\nA=\"hunter2\nC=3":      "line 2: the closing quote is missing",
		"A='hunter2":                 "line 1: the closing quote is missing",
		`A="hunter2\`:                "line 1: the closing quote is missing",
		`A='hunter2' more`:           "line 1: something follows the closing quote",
		`A='hunter2'#`:               "line 1: something follows the closing quote",
		`A='it\'s hunter2'`:          "line 1: something follows the closing quote",
		"A='tis hunter2\nB='b'":      "line 1: something follows the closing quote, one line below",
		`A="hunter2\x"`:              "line 1: a backslash between double quotes must be followed by one of n r t \" $ \\;",
		"A=\"\n\nhunter2\\\n\"":      "line 1: a backslash between double quotes must be followed by one of n r t \" $ \\, 2 lines below;",
		"A=1\nB='\n'\nA=hunter2":     "line 4: A is set already in line 1",
		"A=hunter2\x00":              "line 1: is not text",
		"A=hunter2\xff":              "line 1: is not text",
		"A='\nhunter2\xff'":          "line 1: is not text",
		"\xff\xfeA\x00=\x00h\x00":    "line 1: is not text",
		"B=1\nA=" + pem + "hunter2=": "line 2: a value of several lines must be in quotes",
		"A=\n" + pem:                 "line 2: must be NAME=VALUE, a comment or empty; a value of several lines must be in quotes",
	} {
		_, err := ParseDotEnv(source)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %q without the secret", source, err, want)
		}
	}
}

// FuzzDotEnv checks that no file makes the parser panic, that names are those
// of variables and stand once, that values are text, that an error holds
// nothing of the file but a name, and that a value read is read the same when
// it is written between quotes of either kind, before another entry.
func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{"A=b", "export A='b' # c", `A="b\n"`, "# c\n\nA=", "A=b #c\r\nB=$A", "\ufeffA=1", `A="\`, "A='",
		"A='b\nc'\nB=d", "A=\"b\n\\\"c\"", "A='\r\n' # c\r\n\r\n", pem} {
		f.Add(seed)
	}
	double := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, source string) {
		variables, err := ParseDotEnv(source)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, v := range variables {
			if !isVariable(v.Name) || seen[v.Name] {
				t.Errorf("name %q", v.Name)
			}
			seen[v.Name] = true
			if !isText(v.Value) {
				t.Errorf("value %q", v.Value)
			}
			if strings.Contains(v.Value, "\r\n") {
				continue // only an escape writes it
			}
			want := []Variable{v, {"NEXT_" + v.Name, ""}}
			written := []string{`"` + double.Replace(v.Value) + `"`}
			if !strings.Contains(v.Value, "'") {
				written = append(written, "'"+v.Value+"'")
			}
			for _, value := range written {
				again, err := ParseDotEnv(v.Name + "=" + value + " # comment\nNEXT_" + v.Name + "=")
				if err != nil || !reflect.DeepEqual(again, want) {
					t.Errorf("%q is read again as %q, %v", v.Value, again, err)
				}
			}
		}
	})
}
