package prebuilt_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"berth/internal/compile"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/publish"
	"berth/internal/registrytest"
)

// said remembers the lines that a person would see.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) Step(title string) progress.Step { return &saidStep{s, title} }
func (s *said) Note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

type saidStep struct {
	*said
	title string
}

func (s *saidStep) Detail(string) {}
func (s *saidStep) End(err error) {
	if err != nil {
		s.Note(s.title + ": " + err.Error())
	}
}

// released is a registry with a release of one program and one image.
func released(t *testing.T) (address string, of prebuilt.Reference, program compile.Program, built provider.Build) {
	t.Helper()
	address, program, built = registrytest.Start(t), registrytest.Hello(t), registrytest.Image(t)
	of = registrytest.Publish(t, address+"/me/berth", publish.List{Programs: []compile.Program{program}, Images: []provider.Build{built}})
	return address, of, program, built
}

func TestAProgramOfAReleaseRuns(t *testing.T) {
	_, of, program, _ := released(t)
	file, lines := filepath.Join(t.TempDir(), "bin", "hello"), &said{}
	there, err := prebuilt.New(of).Program(t.Context(), program.Part, file, lines)
	if !there || err != nil || len(lines.lines) > 0 {
		t.Fatalf("got %v, %v: %v", there, err, lines.lines)
	}
	if output, err := exec.Command(file).CombinedOutput(); err != nil || string(output) != "hello" {
		t.Errorf("it says %q, %v", output, err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("left beside it: %v, %v", left, err)
	}
}

func TestAnImageOfARelease(t *testing.T) {
	address, of, _, built := released(t)
	sources, err := image.Sources(built)
	if err != nil {
		t.Fatal(err)
	}
	part := prebuilt.Part{Name: "pause", Sources: sources}
	folder := filepath.Join(t.TempDir(), "pause")
	if there, err := prebuilt.New(of).Image(t.Context(), part, folder, progress.Discard); !there || err != nil {
		t.Fatalf("got %v, %v", there, err)
	}
	to, err := oci.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	digest, err := prebuilt.Push(t.Context(), folder, to)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := to.Resolve(t.Context(), strings.TrimPrefix(digest, "sha256:")[:12]); err != nil || found.Digest.String() != digest {
		t.Errorf("pushed as %s: %v, %v", digest, found, err)
	}
	// Elsewhere it goes with all its platforms, and under its digest.
	reference, err := prebuilt.New(of).Copy(t.Context(), part, address+"/shop/pause", progress.Discard)
	if err != nil || !strings.HasPrefix(reference, address+"/shop/pause@sha256:") {
		t.Fatalf("copied to %q, %v", reference, err)
	}
	shop, err := prebuilt.Repository(address+"/shop/pause", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Resolve(t.Context(), reference); err != nil {
		t.Errorf("%s is not there: %v", reference, err)
	}
}

// Nothing runs that is not what was released, and one line says why.
func TestWhatCannotBeHadIsMadeFromSource(t *testing.T) {
	address, of, program, built := released(t)
	isBlob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
	answer := func(status int) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(status) }
	}
	pauseSources, err := image.Sources(built)
	if err != nil {
		t.Fatal(err)
	}
	others := stranger(t, address)
	hang := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
	// changed replaces what a path ends with by the same number of other bytes.
	changed := func(which func(*http.Request) bool) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !which(r) || r.Method != http.MethodGet {
				registry.ServeHTTP(w, r)
				return
			}
			recorded := httptest.NewRecorder()
			registry.ServeHTTP(recorded, r)
			for name, values := range recorded.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(recorded.Code)
			body := recorded.Body.Bytes()
			body[len(body)/2] ^= 1
			w.Write(body) //nolint:errcheck // the client may be gone
		}
	}
	for name, test := range map[string]struct {
		handle func(http.ResponseWriter, *http.Request, http.Handler)
		change func(of *prebuilt.Reference, part *prebuilt.Part)
		// patience is for what hangs; the rest of the answers come in less.
		patience time.Duration
		want     string
	}{
		"it hangs":          {handle: hang, patience: 300 * time.Millisecond, want: "everything is made from source: berth v1 at HOST/me/berth cannot be had: it does not answer"},
		"it asks for login": {handle: answer(401), want: "it wants a login (status 401): docker login HOST"},
		"it forbids":        {handle: answer(403), want: "it wants a login (status 403): docker login HOST"},
		"it has nothing":    {handle: answer(404), want: "it is not there (status 404)"},
		"it is broken":      {handle: answer(500), want: "the registry answers 500 Internal Server Error"},
		"it is no registry": {handle: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			fmt.Fprint(w, "<html>")
		}, want: "cannot be had: "},
		"another list of parts": {handle: changed(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, of.Parts.String()) }),
			want: "cannot be had: it is not what was released: its digest differs"},
		"a hanging download": {handle: func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if isBlob(r) && largeBlobOf(address, r) {
				w.Header().Set("Content-Length", sizeOf(address, r))
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			registry.ServeHTTP(w, r)
		}, patience: 5 * time.Second, want: "Fetch hello of berth v1: it does not answer; made from source instead"},
		"another program": {handle: changed(func(r *http.Request) bool { return isBlob(r) && largeBlobOf(address, r) }),
			want: "Fetch hello of berth v1: it is not what was released: its digest differs; made from source instead"},
		"a program that is cut off": {handle: func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !isBlob(r) || !largeBlobOf(address, r) {
				registry.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Length", sizeOf(address, r))
			w.WriteHeader(http.StatusOK)
		}, want: "Fetch hello of berth v1: the download was cut off again and again; made from source instead"},
		"signed by another": {change: func(of *prebuilt.Reference, _ *prebuilt.Part) {
			of.Key, _ = prebuilt.PublicKey(registrytest.Key(t))
		}, want: "cannot be had: its signature: it is not by the releaser of this berth"},
		"not signed": {handle: func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if strings.HasSuffix(r.URL.Path, ".sig") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			registry.ServeHTTP(w, r)
		}, want: "cannot be had: its signature: it is not there (status 404)"},
		"other source":    {change: func(_ *prebuilt.Reference, part *prebuilt.Part) { part.Sources = "s2" }, want: "hello is made from source: berth v1 at HOST/me/berth has one of other source than what is here"},
		"no such program": {change: func(_ *prebuilt.Reference, part *prebuilt.Part) { part.Name = "tofu" }, want: "tofu is made from source: berth v1 at HOST/me/berth has none"},
		"an image for a program": {change: func(_ *prebuilt.Reference, part *prebuilt.Part) {
			part.Name, part.Sources = "pause", pauseSources
		}, want: "Fetch pause of berth v1: it is not a program; made from source instead"},
		"another's artifacts": {change: func(of *prebuilt.Reference, _ *prebuilt.Part) {
			of.Parts = others
		}, want: "cannot be had: it is not a release of berth"},
		"nobody there": {change: func(of *prebuilt.Reference, _ *prebuilt.Part) { of.Repository = "127.0.0.1:1/me/berth" }, want: "cannot be had: it cannot be reached: "},
	} {
		t.Run(name, func(t *testing.T) {
			of, part := of, program.Part
			host := address
			if test.handle != nil {
				host = registrytest.Before(t, address, test.handle)
			}
			of.Repository = host + "/me/berth"
			if test.change != nil {
				test.change(&of, &part)
			}
			release := prebuilt.New(of)
			if test.patience > 0 {
				release.Patience = test.patience
			}
			lines, file := &said{}, filepath.Join(t.TempDir(), "hello")
			for range 2 {
				there, err := release.Program(t.Context(), part, file, lines)
				if there || err != nil {
					t.Fatalf("got %v, %v", there, err)
				}
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something is there: %v", err)
			}
			want := strings.ReplaceAll(test.want, "HOST", host)
			if !strings.Contains(lines.lines[0], want) || strings.Contains(lines.lines[0], "\n") {
				t.Errorf("got %q, want %q", lines.lines[0], want)
			}
			if !strings.HasPrefix(want, "Fetch") && len(lines.lines) != 1 {
				t.Errorf("said more than once: %q", lines.lines)
			}
		})
	}
}

// What was cut off goes on where it was, also in another command, and begins
// from the start where the registry cannot begin in the middle.
func TestDownloadsGoOn(t *testing.T) {
	address, of, program, _ := released(t)
	for name, test := range map[string]struct{ ranges, killed bool }{
		"in the same command":                  {ranges: true},
		"in the next command":                  {ranges: true, killed: true},
		"in the next, from the start":          {killed: true},
		"in the same command, from the start ": {},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			var asked []string
			file := filepath.Join(t.TempDir(), "hello")
			host := registrytest.Before(t, address, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
				if !strings.Contains(r.URL.Path, "/blobs/") || !largeBlobOf(address, r) {
					registry.ServeHTTP(w, r)
					return
				}
				asked = append(asked, r.Header.Get("Range"))
				if !test.ranges {
					r.Header.Del("Range")
				}
				recorded := httptest.NewRecorder()
				registry.ServeHTTP(recorded, r)
				for name, values := range recorded.Header() {
					w.Header()[name] = values
				}
				if !test.ranges {
					w.Header().Del("Accept-Ranges")
				}
				body := recorded.Body.Bytes()
				w.WriteHeader(recorded.Code)
				if len(asked) == 1 { // half of it
					w.Write(body[:len(body)/2]) //nolint:errcheck // the client may be gone
					w.(http.Flusher).Flush()
					if test.killed {
						for size := int64(0); size < int64(len(body)/2); time.Sleep(10 * time.Millisecond) {
							if info, err := os.Stat(file + ".zst.part"); err == nil {
								size = info.Size()
							}
							if t.Context().Err() != nil {
								break
							}
						}
						kill()
					}
					panic(http.ErrAbortHandler)
				}
				w.Write(body) //nolint:errcheck // the client may be gone
			})
			of.Repository = host + "/me/berth"
			there, err := prebuilt.New(of).Program(ctx, program.Part, file, progress.Discard)
			if test.killed {
				if there || !errors.Is(err, context.Canceled) {
					t.Fatalf("killed, it is there: %v, %v", there, err)
				}
				there, err = prebuilt.New(of).Program(t.Context(), program.Part, file, progress.Discard)
			}
			if !there || err != nil {
				t.Fatalf("got %v, %v", there, err)
			}
			if output, err := exec.Command(file).CombinedOutput(); err != nil || string(output) != "hello" {
				t.Errorf("it says %q, %v", output, err)
			}
			if resumed := strings.HasPrefix(asked[len(asked)-1], "bytes="); resumed != test.ranges {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

func TestWhichRelease(t *testing.T) {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(nil))
	for _, given := range []string{"http://ghcr.io/me/berth", "ghcr.io/me/berth:v1", "ghcr.io", "ghcr.io/me/berth@v1", "ghcr.io/me/berth@sha256:12", "ghcr.io/me/berth", "@" + digest, " "} {
		if release, err := prebuilt.Find(given); release != nil || !fault.IsUsage(err) {
			t.Errorf("%q: got %v, %v", given, release, err)
		}
	}
	if release, err := prebuilt.Find(""); release != nil || err != nil {
		t.Errorf("a clone is of a release: %v, %v", release, err)
	}
	release, err := prebuilt.Find("127.0.0.1:5000/me/berth@" + digest)
	if err != nil || release.Repository != "127.0.0.1:5000/me/berth" || release.Parts.String() != digest || release.Version != "e3b0c44298fc" {
		t.Errorf("got %+v, %v", release, err)
	}
}

func FuzzWhichRelease(f *testing.F) {
	f.Add("ghcr.io/me/berth@sha256:" + strings.Repeat("a", 64))
	f.Add("a/b:1@")
	f.Fuzz(func(t *testing.T, given string) {
		release, err := prebuilt.Find(given)
		if err == nil && given != "" && (release == nil || release.Parts.Validate() != nil) {
			t.Errorf("%q gives %+v", given, release)
		}
	})
}

// A signature is what cosign and openssl verify.
func TestOpenSSLVerifiesASignature(t *testing.T) {
	key, folder := registrytest.Key(t), t.TempDir()
	layer, signature, err := prebuilt.Sign(key, "ghcr.io/me/berth", "sha256:1")
	if err != nil {
		t.Fatal(err)
	}
	if again, other, err := prebuilt.Sign(key, "ghcr.io/me/berth", "sha256:1"); err != nil || other != signature || !bytes.Equal(again, layer) {
		t.Errorf("signed again it is another: %v", err)
	}
	public, err := prebuilt.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"key": public, "layer": string(layer), "signature": signature} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("sh", "-c", "base64 -d signature > raw && openssl dgst -sha256 -verify key -signature raw layer")
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	for name, kind := range map[string]string{"RSA": "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "another curve": "-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "Ed25519": "-algorithm ED25519", "with a password": "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:1234"} {
		content, err := exec.Command("sh", "-c", "openssl genpkey "+kind).Output()
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := prebuilt.ParseKey(content); err == nil || strings.Contains(err.Error(), string(content[40:60])) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []string{"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "openssl ecparam -name prime256v1 -genkey -noout"} {
		content, err := exec.Command("sh", "-c", kind).Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prebuilt.ParseKey(content); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := prebuilt.ParseKey([]byte("none")); err == nil {
		t.Error("it is a key")
	}
}

// stranger adds an image to the repository, and returns its digest.
func stranger(t *testing.T, address string) digest.Digest {
	t.Helper()
	to, err := prebuilt.Repository(address+"/me/berth", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	image, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return image.Digest
}

// largeBlobOf reports whether a request is for a blob of a size that only a
// program has.
func largeBlobOf(registry string, r *http.Request) bool {
	size, err := strconv.Atoi(sizeOf(registry, r))
	return err == nil && size > 100_000
}

func sizeOf(registry string, r *http.Request) string {
	response, err := http.Head("http://" + registry + r.URL.Path)
	if err != nil {
		return ""
	}
	response.Body.Close()
	return response.Header.Get("Content-Length")
}
