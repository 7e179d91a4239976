package registry

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// gate stands before the registry and makes sweeping safe while it serves.
//
// A push asks first which layers are there already, sends the others, and
// names all of them in a manifest at the end. What was asked for or sent is
// therefore spared for the grace, though no manifest names it yet, and nothing
// is written during a sweep.
type gate struct {
	next  http.Handler
	grace time.Duration
	// sweep removes what no tagged manifest needs and spared does not name.
	sweep func(spared func(digest string) bool) error

	writing sync.RWMutex // held for reading by requests that write

	mu   sync.Mutex
	seen map[string]time.Time // when a client was last told of a digest
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Asking is the beginning of a push, so it must not fall into a sweep
	// either. Only what is being fetched may go on.
	if r.Method != http.MethodGet {
		g.writing.RLock()
		defer g.writing.RUnlock()
	}
	g.next.ServeHTTP(w, r)
	// Every answer about a manifest or a blob names it here.
	if d := w.Header().Get("Docker-Content-Digest"); d != "" {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.seen == nil {
			g.seen = map[string]time.Time{}
		}
		g.seen[d] = time.Now()
	}
}

// sweepEvery sweeps until ctx ends. The first time is a whole interval after
// the start, as nobody knows what was pushed before it.
func (g *gate) sweepEvery(ctx context.Context, interval time.Duration) {
	for ticker := time.NewTicker(interval); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := g.sweepUnlessWriting(); err != nil {
				slog.Error("sweeping failed", "error", err)
			}
		}
	}
}

// sweepUnlessWriting leaves the sweep to the next time when a request writes:
// to wait for a slow one would stop all the others.
func (g *gate) sweepUnlessWriting() error {
	if !g.writing.TryLock() {
		return nil
	}
	defer g.writing.Unlock()
	g.mu.Lock()
	for d, at := range g.seen {
		if time.Since(at) > g.grace {
			delete(g.seen, d)
		}
	}
	g.mu.Unlock()
	return g.sweep(func(d string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		_, ok := g.seen[d]
		return ok
	})
}

// sparing is the registry as a sweep sees it: spared manifests are needed, and
// spared blobs are not there to be removed.
type sparing struct {
	distribution.Namespace
	spared func(digest string) bool
}

func (s sparing) Enumerate(ctx context.Context, each func(string) error) error {
	return s.Namespace.(distribution.RepositoryEnumerator).Enumerate(ctx, each)
}

func (s sparing) Blobs() distribution.BlobEnumerator {
	return sparingBlobs{s.Namespace.Blobs(), s.spared}
}

func (s sparing) Repository(ctx context.Context, name reference.Named) (distribution.Repository, error) {
	r, err := s.Namespace.Repository(ctx, name)
	return sparingRepository{r, s.spared}, err
}

type sparingBlobs struct {
	distribution.BlobEnumerator
	spared func(digest string) bool
}

func (b sparingBlobs) Enumerate(ctx context.Context, each func(digest.Digest) error) error {
	return b.BlobEnumerator.Enumerate(ctx, unless(b.spared, each))
}

type sparingRepository struct {
	distribution.Repository
	spared func(digest string) bool
}

func (r sparingRepository) Tags(ctx context.Context) distribution.TagService {
	return sparingTags{r.Repository.Tags(ctx), r.spared}
}

type sparingTags struct {
	distribution.TagService
	spared func(digest string) bool
}

// Lookup says of a spared manifest that it has a tag, so that it stays with all
// that it names: those of an image for several platforms come before the one
// that has a tag and names them.
func (t sparingTags) Lookup(ctx context.Context, d v1.Descriptor) ([]string, error) {
	if t.spared(d.Digest.String()) {
		return []string{"spared"}, nil
	}
	return t.TagService.Lookup(ctx, d)
}

func (r sparingRepository) Blobs(ctx context.Context) distribution.BlobStore {
	return sparingBlobStore{r.Repository.Blobs(ctx), r.spared}
}

type sparingBlobStore struct {
	distribution.BlobStore
	spared func(digest string) bool
}

// Enumerate lists the links to layers that a repository has.
func (b sparingBlobStore) Enumerate(ctx context.Context, each func(digest.Digest) error) error {
	return b.BlobStore.(distribution.ManifestEnumerator).Enumerate(ctx, unless(b.spared, each))
}

func unless(spared func(string) bool, each func(digest.Digest) error) func(digest.Digest) error {
	return func(d digest.Digest) error {
		if spared(d.String()) {
			return nil
		}
		return each(d)
	}
}
