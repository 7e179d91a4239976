package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
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

func TestKeptImagesByTheirNames(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	names := []string{"berth.local/shop:1", "berth.local/shop@" + digest}
	for reference, want := range map[string]bool{
		"berth.local/shop:1":           true,
		"berth.local/shop@" + digest:   true,
		"berth.local/shop:2@" + digest: true, // the digest decides
		"berth.local/shop:2":           false,
		"berth.local/shop":             false,
		"berth.local/shop:11":          false,
		"berth.local/shopping:1":       false,
		"other:5000/shop:1":            false,
		"other:5000/shop@" + digest:    false,
		"":                             false,
	} {
		if got := keepsAny([]string{"unrelated:1", reference}, names); got != want {
			t.Errorf("an image that %q needs: kept is %v, want %v", reference, got, want)
		}
	}
}

// A command that publishes holds the images until it ends; another one then
// leaves them alone.
func TestNothingIsPrunedWhileAnotherCommandPublishes(t *testing.T) {
	l := layout{t.TempDir(), t.TempDir()}
	one, two := &Provider{layout: l}, &Provider{layout: l}
	if err := one.holdImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := func(p *Provider) bool {
		asked := false
		// The question fails, so nothing is removed.
		err := p.Prune(t.Context(), func(context.Context) ([]string, error) { asked = true; return nil, fs.ErrInvalid })
		if asked != (err != nil) {
			t.Errorf("asked is %v, the error %v", asked, err)
		}
		return asked
	}
	if asked(two) {
		t.Error("pruned beside a command that publishes")
	}
	if err := two.holdImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked(one) {
		t.Error("pruned beside a command that publishes")
	}
	if !asked(two) { // the last one, whose own hold is no hindrance
		t.Error("did not prune when the last command was done")
	}
}

func TestAnImageIsHeldWhenPruningHasEnded(t *testing.T) {
	l := layout{t.TempDir(), t.TempDir()}
	file, err := openLock(l.imageLock())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	p := &Provider{layout: l}
	go func() { held <- p.holdImages(t.Context()) }()
	select {
	case err := <-held:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	file.Close()
	if err := <-held; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if file, err = openLock(l.imageLock()); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := flock(ctx, file, unix.LOCK_EX); err == nil {
		t.Error("took a lock that another holds")
	}
}
