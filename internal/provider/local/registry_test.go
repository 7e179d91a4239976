package local

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func testRegistry(t *testing.T) registry {
	t.Helper()
	folder := t.TempDir()
	r := registry{layout{filepath.Join(folder, "state"), filepath.Join(folder, "cache")}, network{netip.MustParsePrefix("10.118.0.0/16")}}
	for _, name := range []string{r.layout.pki(""), r.layout.etc("")} {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	by, err := loadAuthority(r.layout, "kubernetes", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again at every "berth up"
		if err := r.configure(by); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestTheRegistrysPasswordIsTheSameForAllAndRootsAlone(t *testing.T) {
	r := testRegistry(t)
	password, err := r.password()
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(r.htpasswd())
	if err != nil {
		t.Fatal(err)
	}
	user, hash, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil || user != registryUser {
		t.Errorf("the registry lets %s in with another password: %v", user, err)
	}
	var login struct {
		Auths map[string]struct{ Auth string }
	}
	content, err := os.ReadFile(r.authFile())
	if err == nil {
		err = json.Unmarshal(content, &login)
	}
	if err != nil {
		t.Fatal(err)
	}
	if decoded, err := base64.StdEncoding.DecodeString(login.Auths["10.118.0.1:20500"].Auth); err != nil || string(decoded) != "berth:"+password {
		t.Errorf("builders log in with something else: %v", err)
	}
	hosts, err := r.hosts()
	if err != nil || !strings.Contains(hosts, `server = "https://10.118.0.1:20500"`) || !strings.Contains(hosts, basic(password)) {
		t.Errorf("nodes log in with something else: %v", err)
	}
	err = filepath.WalkDir(filepath.Dir(r.layout.pki("")), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if secret := strings.Contains(string(content), password) || strings.Contains(string(content), basic(password)) || strings.Contains(string(content), hash); err == nil && secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds the password and has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.part("berth-kube")
	if err != nil || strings.Contains(strings.Join(part.Args, " "), password) {
		t.Errorf("the password is in argv, or %v", err)
	}
}
