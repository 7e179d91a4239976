package kube

import (
	"context"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// PullSecret writes a Secret by which pods of its namespace pull images, and
// returns its name; "" when none is needed. Logins returns a .dockerconfigjson,
// nil where everybody may pull. Where it fails, the Secret that is there goes on:
// somebody who has a login has made it.
func PullSecret(ctx context.Context, client kubernetes.Interface, s Secret, logins func() ([]byte, error)) (name string, err error) {
	data, err := logins()
	if len(data) > 0 {
		s.Type, s.Data = core.SecretTypeDockerConfigJson, map[string][]byte{core.DockerConfigJsonKey: data}
		return s.Name, s.Apply(ctx, client)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	before, found := OwnSecret(ctx, client, s.Namespace, s.Name)
	if found != nil || before == nil {
		if err == nil {
			err = found
		}
		return "", err
	}
	return s.Name, nil
}
