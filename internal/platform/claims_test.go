package platform

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
)

func TestClaimsThatBerthYamlNames(t *testing.T) {
	c := &config.Config{Name: "shop", Environments: map[string]config.Environment{"production": {}}}
	c.Metrics = config.Metrics(15 * 24 * time.Hour)
	c.Volumes = map[string]config.Volume{"uploads": {}}
	for _, one := range []struct {
		namespace, name, instance string
		named                     bool
	}{
		{"production", "shop-data", "shop", true}, // SQLite's
		{"production", "shop-uploads", "shop", true},
		{"production", "data-shop-postgresql-0", "shop", true},
		{"metrics", "metrics", "metrics", true},
		{"production", "shop-thumbnails", "shop", false}, // which berth.yaml had once
		{"production", "wiki-data", "wiki", false},
		{"production", "shop-data", "", false}, // made by hand
		{"preview", "shop-data", "shop", false},
	} {
		claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: one.namespace, Name: one.name, Labels: map[string]string{"app.kubernetes.io/instance": one.instance},
		}}
		if got := isNamed(claim, c); got != one.named {
			t.Errorf("%s/%s of %q: named is %v", one.namespace, one.name, one.instance, got)
		}
	}
}
