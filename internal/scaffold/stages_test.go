package scaffold

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDockerfiles(t *testing.T) {
	for _, test := range []struct {
		name, source, target string
		want                 dockerfile
	}{
		{"the last stage", "FROM a AS one\nEXPOSE 1\nFROM b\nEXPOSE 2\n", "",
			dockerfile{base: "b", ports: []string{"2"}}},
		{"a target, in any case", "FROM a AS One\nEXPOSE 1\nFROM b\nEXPOSE 2\n", "oNE",
			dockerfile{base: "a", ports: []string{"1"}}},
		{"a stage inherits", "FROM a AS one\nENV P=1\nVOLUME /x\nCMD x\nFROM one\nEXPOSE ${P}2\n", "",
			dockerfile{base: "a", ports: []string{"12"}, volumes: []string{"/x"}, cmd: Command{Text: "x"}, env: map[string]string{"P": "1"}}},
		{"lower case, and lines that go on", "from a\nexpose \\\n# between\n 80 \\\n 81/tcp\n", "",
			dockerfile{base: "a", ports: []string{"80", "81/tcp"}}},
		{"arguments before FROM", "ARG V=3 T\nFROM a:$V\nARG V\nEXPOSE 8$V\n", "",
			dockerfile{base: "a:3", ports: []string{"83"}, args: []string{"T"}}},
		{"a here-document is not read", "FROM a\nRUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 2\n", "",
			dockerfile{base: "a", ports: []string{"2"}}},
		{"an entrypoint forgets the command", "FROM a AS b\nCMD [\"x\"]\nFROM b\nENTRYPOINT [\"y\"]\n", "",
			dockerfile{base: "a", entrypoint: Command{List: []string{"y"}}}},
		{"JSON", "FROM a\nVOLUME [\"/x y\", \"/z\"]\nCMD [\"x\", \"y z\"]\n", "",
			dockerfile{base: "a", volumes: []string{"/x y", "/z"}, cmd: Command{List: []string{"x", "y z"}}}},
		{"no health check", "FROM a AS b\nHEALTHCHECK CMD curl http://localhost/up\nFROM b\nHEALTHCHECK NONE\n", "", dockerfile{base: "a"}},
		{"a health check", "FROM a\nENV PORT 81\nHEALTHCHECK --start-interval=1s CMD curl http://localhost:$PORT/up\n", "",
			dockerfile{base: "a", health: "/up", healthPort: 81, env: map[string]string{"PORT": "81"}}},
		{"secrets", "FROM a\nRUN --mount=type=secret,id=T --mount=type=secret,target=/run/secrets/U --mount=type=cache,id=c,target=/c x\n", "",
			dockerfile{base: "a", secrets: []string{"T", "U"}}},
		{"what is unknown is passed over", "FROM a\nFUTURE thing\nEXPOSE 1\nONBUILD EXPOSE 2\n", "", dockerfile{base: "a", ports: []string{"1"}}},
	} {
		got, _, err := parseDockerfile([]byte(test.source), test.target, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if len(got.env) == 0 {
			got.env = nil
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(dockerfile{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	for _, source := range []string{"", "# nothing", "RUN x", "FROM a\nRUN <<EOF\nx", "FROM a\nEXPOSE \x00\n", "FROM a\xff\n"} {
		if got, _, err := parseDockerfile([]byte(source), "", nil); err == nil {
			t.Errorf("%q: got %+v", source, got)
		}
	}
}
