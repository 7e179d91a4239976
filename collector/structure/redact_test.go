package structure

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"strings"
	"testing"

	"berth/logline"
)

// TestForms has secrets in the forms in which programs print them, and what only
// looks like one and must be kept. A line is what a container wrote in one go.
func TestForms(t *testing.T) {
	file, err := os.Open("testdata/secrets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var form struct{ Form, Text, Secret, Keep string }
		if err := json.Unmarshal(lines.Bytes(), &form); err != nil {
			t.Fatal(err)
		}
		var p Parser
		got := p.Redact(form.Text)
		switch {
		case form.Secret != "" && strings.Contains(got, form.Secret):
			t.Errorf("%s: %s\nbecame %s, with %s in it", form.Form, form.Text, got, form.Secret)
		case !strings.Contains(got, form.Keep):
			t.Errorf("%s: %s\nbecame %s, without %s", form.Form, form.Text, got, form.Keep)
		}
		if again := p.Redact(got); again != got {
			t.Errorf("%s: %s\nbecame %s,\nand then %s", form.Form, form.Text, got, again)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// syntaxes write a name and its secret as programs do, and wraps put what was
// written into something else.
var (
	syntaxes = []string{
		`password=%s`, `password: %s`, `"password":"%s"`, `"password": "%s"`, `'password': '%s'`, `"password"=>"%s"`, `:password=>"%s"`, `[password] => %s`,
		`("password", "%s")`, `<password>%s</password>`, `<input name="password" value="%s">`, `--password %s`, `--password=%s`, `Password:%s`,
		`map[Cookie:[a=1; b=%s]]`, `{"Cookie":["a=[1]","b=%s"]}`, `Authorization: Bearer %s`, `sent Bearer %s`, `X-Api-Key: %s`, `Set-Cookie: a=%s; Path=/`,
		`postgres://app:%s@db:5432/app`, `redis://:%s@cache`, `?token=%s&x=1`, `user[password]=%s`, `AWS_SECRET_ACCESS_KEY=%s`, `Pwd=%s;Uid=a`,
		`Some { token: Some("%s") }`, `{password=%s, user=a}`, `password="%s"`, `api_key='%s'`, "\x1b[36mtoken\x1b[0m=\x1b[35m%s\x1b[0m", `%s@example.com`,
		"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----", `your password is %s`,
		`[{password,"%s"}]`, `INSERT INTO users (name, password) VALUES ('jake', '%s')`, `Key (token)=(%s) already exists.`, `["password":protected]=> "%s"`,
		`https://hooks.slack.com/services/T0/B0/%s`, `{Name:DB_PASSWORD,Value:%s,}`, `<key>password</key><string>%s</string>`, `docker login -u jake -p %s`,
		`ALTER USER a IDENTIFIED WITH sha2_password BY '%s'`, `generated password %s for jake`, `password1=%s`, "PGP -----BEGIN PGP PRIVATE KEY BLOCK-----\n%s",
		`#{<<"token">> => <<"%s">>}`, `{<<"password">>,<<"%s">>}`, `{:api-key "%s"}`, `token: AccessToken { value: "%s" }`, `cookies: Map(1) { 'session' => '%s' }`,
		`PDO->__construct('mysql:host=db', 'root', '%s', Array)`, `{"property":"app.password","value":"%s"}`, `<add key="Jwt:Secret" value="%s" />`,
		`skopeo copy --src-creds u:%s docker://a`, `app:%s@/app`, `machine h login u password %s`,
	}
	wraps = []func(string) string{
		func(s string) string { return "request failed " + s },
		func(s string) string { return s + " done" },
		func(s string) string { return `{"msg":` + string(logline.AppendString(nil, s)) + `,"status":200}` },
		func(s string) string { return "body " + string(logline.AppendString(nil, s)) },
		func(s string) string { return fmt.Sprintf("err=%q", s) },
		func(s string) string { return "next=" + url.QueryEscape(s) + "&x=1" },
		func(s string) string { return "q=" + url.PathEscape(s) },
		func(s string) string { return "<msg>" + html.EscapeString(s) + "</msg>" },
		func(s string) string { return "\x1b[1;31m" + s + "\x1b[0m" },
		func(s string) string { return "{" + s + "}" },
		func(s string) string { return "[" + s + "]" },
		func(s string) string { return "a\n" + s + "\nb" },
		func(s string) string { return `data='` + s + `'` },
	}
)

// FuzzForms wraps a secret in a syntax, and that in others, and looks for it.
func FuzzForms(f *testing.F) {
	for syntax := range syntaxes {
		f.Add(uint8(syntax), []byte{})
		for wrap := range wraps {
			f.Add(uint8(syntax), []byte{uint8(wrap)})
			for second := range wraps {
				f.Add(uint8(syntax), []byte{uint8(wrap), uint8(second)})
			}
		}
	}
	const secret = "S3cr3tV4lue9x"
	f.Fuzz(func(t *testing.T, syntax uint8, around []byte) {
		text := fmt.Sprintf(syntaxes[int(syntax)%len(syntaxes)], secret)
		for _, wrap := range around[:min(len(around), 4)] {
			text = wraps[int(wrap)%len(wraps)](text)
		}
		var p Parser
		if got := p.Redact(text); strings.Contains(got, secret) {
			t.Errorf("%q\nbecame %q", text, got)
		}
	})
}
