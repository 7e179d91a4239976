package ingress_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth/internal/ingress"
)

var update = flag.Bool("update", false, "rewrite the golden files")
var reloads = flag.Int("reloads", 25, "how many times the test under load reloads NGINX")

func goldenSettings() ingress.Settings {
	return ingress.Settings{
		HTTP:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::1]:8080")},
		HTTPS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8443")}, PublicHTTPSPort: 8443,
		Dir: "/run/nginx", TrustedCA: ingress.DebianTrustedCA, AccessLog: "/dev/stdout", ShutdownTimeout: 20 * time.Second,
		Workers: 2, Modules: ingress.DebianModules, BodiesPerClient: 512, HeaderBuffer: 16 << 10,
	}
}

// TestRender renders the objects in testdata/*.yaml and compares with the .conf
// beside them. The problems come first in it, as comments.
func TestRender(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	ca := newAuthority(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			objects := readObjects(t, file, ca)
			model, problems := ingress.Build(objects, goldenSettings())
			model.Generation = 7
			var out bytes.Buffer
			for _, p := range problems {
				fmt.Fprintf(&out, "# %s/%s %s: %s\n", p.Ingress.Namespace, p.Ingress.Name, p.Reason, p.Message)
			}
			for _, backend := range slices.Sorted(maps.Keys(model.Endpoints)) {
				fmt.Fprintf(&out, "# %s: %s\n", backend, strings.Join(model.Endpoints[backend], " "))
			}
			out.Write(model.Render())
			got := regexp.MustCompile(`tls/[0-9a-f]{32}`).ReplaceAllString(out.String(), "tls/HASH")
			golden := strings.TrimSuffix(file, ".yaml") + ".conf"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs (-want +got), -update rewrites it:\n%s", golden, diff)
			}
		})
	}
}

// readObjects reads Kubernetes objects. A TLS Secret without data gets a
// certificate for the host that is its name; one of type nginx.org/ca gets the
// authority's.
func readObjects(t *testing.T, file string, ca *authority) (o ingress.Objects) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		var kind metav1.TypeMeta
		decode(t, document, &kind)
		switch kind.Kind {
		case "Ingress":
			o.Ingresses = append(o.Ingresses, decode(t, document, &networkingv1.Ingress{}))
		case "Service":
			o.Services = append(o.Services, decode(t, document, &corev1.Service{}))
		case "EndpointSlice":
			o.EndpointSlices = append(o.EndpointSlices, decode(t, document, &discoveryv1.EndpointSlice{}))
		case "Secret":
			secret := decode(t, document, &corev1.Secret{})
			switch {
			case secret.Data != nil:
			case secret.Type == corev1.SecretTypeTLS:
				secret.Data = ca.secret("", secret.Name).Data
			default:
				secret.Data = ca.trustSecret("").Data
			}
			o.Secrets = append(o.Secrets, secret)
		default:
			t.Fatalf("%s: object of kind %q", file, kind.Kind)
		}
	}
	return o
}

func decode[T any](t *testing.T, document string, into *T) *T {
	t.Helper()
	if err := yaml.Unmarshal([]byte(document), into); err != nil {
		t.Fatal(err)
	}
	return into
}

func writeTemp(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
