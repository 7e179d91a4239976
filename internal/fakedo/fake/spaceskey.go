package fake

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// routeSpacesKeys answers for the keys of Spaces. A key's secret is told once,
// when it is made.
func (f *Fake) routeSpacesKeys() {
	const keys = "/v2/spaces/keys"
	f.handle("GET "+keys, list("keys", func(*http.Request) []*godo.SpacesKey {
		var all []*godo.SpacesKey
		for _, key := range f.account.SpacesKeys {
			all = append(all, withoutSecret(key))
		}
		return all
	}))
	f.handle("POST "+keys, func(r *http.Request) (int, any, error) {
		var request godo.SpacesKeyCreateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		if err := f.checkGrants(request.Name, request.Grants); err != nil {
			return 0, nil, err
		}
		key := &godo.SpacesKey{
			Name: request.Name, Grants: request.Grants, CreatedAt: f.options.Now().UTC().Format(time.RFC3339),
			AccessKey: "DO" + strings.ToUpper(newSecret(9)), SecretKey: newSecret(21),
		}
		f.account.SpacesKeys = append(f.account.SpacesKeys, key)
		return http.StatusCreated, map[string]any{"key": key}, nil
	})
	f.handle("GET "+keys+"/{key}", f.withKey(func(_ *http.Request, key *godo.SpacesKey) (int, any, error) {
		return http.StatusOK, map[string]any{"key": withoutSecret(key)}, nil
	}))
	update := f.withKey(func(r *http.Request, key *godo.SpacesKey) (int, any, error) {
		var request godo.SpacesKeyUpdateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		if err := f.checkGrants(request.Name, request.Grants); err != nil {
			return 0, nil, err
		}
		key.Name, key.Grants = request.Name, request.Grants
		return http.StatusOK, map[string]any{"key": withoutSecret(key)}, nil
	})
	f.handle("PUT "+keys+"/{key}", update)
	f.handle("PATCH "+keys+"/{key}", update)
	f.handle("DELETE "+keys+"/{key}", f.withKey(func(_ *http.Request, key *godo.SpacesKey) (int, any, error) {
		f.account.SpacesKeys = slices.DeleteFunc(f.account.SpacesKeys, func(o *godo.SpacesKey) bool { return o.AccessKey == key.AccessKey })
		return http.StatusNoContent, nil, nil
	}))
}

func (f *Fake) withKey(work func(*http.Request, *godo.SpacesKey) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*godo.SpacesKey, error) {
		return find(f.account.SpacesKeys, func(k *godo.SpacesKey) bool { return k.AccessKey == r.PathValue("key") })
	}, work)
}

func withoutSecret(key *godo.SpacesKey) *godo.SpacesKey {
	told := *key
	told.SecretKey = ""
	return &told
}

// checkGrants refuses keys without a name, and grants on Spaces that are not there.
// A key may have no grants.
func (f *Fake) checkGrants(name string, grants []*godo.Grant) error {
	if name == "" {
		return badRequest("a name is required")
	}
	for _, grant := range grants {
		switch grant.Permission {
		case godo.SpacesKeyFullAccess:
			if grant.Bucket != "" {
				return badRequest("fullaccess is for all buckets")
			}
		case godo.SpacesKeyRead, godo.SpacesKeyReadWrite:
			if !slices.ContainsFunc(f.account.Buckets, func(b *Bucket) bool { return b.Name == grant.Bucket }) {
				return badRequest("bucket %q does not exist", grant.Bucket)
			}
		default:
			return badRequest("unknown permission %q", grant.Permission)
		}
	}
	return nil
}
