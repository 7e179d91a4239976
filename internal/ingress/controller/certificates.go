package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth/internal/ingress"
)

// publishCertificates writes into a ConfigMap when each certificate ends, and for
// which hosts it is served. Who wants to know need not read the Secrets, which
// hold the keys as well.
func (r *Reconciler) publishCertificates(ctx context.Context, certificates map[string]ingress.Certificate) error {
	if r.Certificates.Name == "" {
		return nil
	}
	data := map[string]string{}
	for name, c := range certificates {
		text, err := json.Marshal(struct {
			Ends  time.Time `json:"ends"`
			Hosts []string  `json:"hosts"`
		}{c.Ends, c.Hosts})
		if err != nil {
			return err
		}
		data[name] = string(text)
	}
	if r.published != nil && maps.Equal(data, r.published) {
		return nil
	}
	object := coreapply.ConfigMap(r.Certificates.Name, r.Certificates.Namespace).WithData(data)
	if err := r.Client.Apply(ctx, object, client.FieldOwner("berth-ingress"), client.ForceOwnership); err != nil {
		return fmt.Errorf("publish when certificates end: %w", err)
	}
	r.published = data
	return nil
}
