package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

func bucketResource() *resource {
	return &resource{
		forceNew: []string{"region"},
		defaults: map[string]any{"region": "nyc3", "acl": "private", "force_destroy": false, "versioning.enabled": false},
		// Versioning cannot be undone, so a configuration without it changes
		// nothing.
		suppress: func(prior, planned object) {
			if len(planned.blocks("versioning")) == 0 && len(prior.blocks("versioning")) == 1 {
				planned["versioning"] = copyValue(prior["versioning"])
			}
		},
		create: createBucket, read: readBucket, update: updateBucket, remove: removeBucket,
		imported: func(_ context.Context, _ *clients, id string) (object, error) {
			region, name, ok := strings.Cut(id, ",")
			if !ok {
				return nil, errors.New("importing a Spaces bucket requires the format: <region>,<name>")
			}
			return object{"id": name, "region": region, "force_destroy": false}, nil
		},
	}
}

func createBucket(ctx context.Context, c *clients, planned object) (object, error) {
	spaces, err := c.spaces(planned.text("region"))
	if err != nil {
		return nil, fmt.Errorf("error creating bucket: %w", err)
	}
	name := planned.text("name")
	if err := spaces.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
		return nil, fmt.Errorf("error creating Spaces bucket: %w", err)
	}
	planned["id"] = name
	// An error from here on leaves the bucket in the state.
	return updateBucket(ctx, c, object{}, planned)
}

func updateBucket(ctx context.Context, c *clients, prior, planned object) (object, error) {
	spaces, err := c.spaces(planned.text("region"))
	if err != nil {
		return planned, fmt.Errorf("error updating bucket: %w", err)
	}
	name := planned.text("name")
	if versioning := planned.one("versioning"); versioning != nil && changed(prior, planned, "versioning") {
		set := spaces.SuspendVersioning
		if versioning.flag("enabled") {
			set = spaces.EnableVersioning
		}
		if err := set(ctx, name); err != nil {
			return planned, fmt.Errorf("error putting Spaces versioning: %w", err)
		}
	}
	if changed(prior, planned, "lifecycle_rule") {
		rules := lifecycle.NewConfiguration()
		for _, rule := range planned.blocks("lifecycle_rule") {
			rules.Rules = append(rules.Rules, lifecycleRule(rule))
		}
		if err := spaces.SetBucketLifecycle(ctx, name, rules); err != nil {
			return planned, fmt.Errorf("error putting S3 lifecycle: %w", err)
		}
	}
	return readBucket(ctx, c, settle(planned))
}

func lifecycleRule(rule object) lifecycle.Rule {
	out := lifecycle.Rule{
		ID: orElse(rule.text("id"), fmt.Sprintf("tf-%d", time.Now().UnixNano())), Status: "Disabled",
		RuleFilter:                     lifecycle.Filter{Prefix: rule.text("prefix")},
		AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: lifecycle.ExpirationDays(rule.number("abort_incomplete_multipart_upload_days"))},
	}
	if rule.flag("enabled") {
		out.Status = "Enabled"
	}
	if expiration := rule.one("expiration"); expiration != nil {
		out.Expiration.Days = lifecycle.ExpirationDays(expiration.number("days"))
		out.Expiration.DeleteMarker = lifecycle.ExpireDeleteMarker(expiration.flag("expired_object_delete_marker"))
	}
	if expiration := rule.one("noncurrent_version_expiration"); expiration != nil {
		out.NoncurrentVersionExpiration.NoncurrentDays = lifecycle.ExpirationDays(expiration.number("days"))
	}
	return out
}

func readBucket(ctx context.Context, c *clients, state object) (object, error) {
	spaces, err := c.spaces(state.text("region"))
	if err != nil {
		return nil, fmt.Errorf("error reading bucket: %w", err)
	}
	name := state.text("id")
	exists, err := spaces.BucketExists(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("error reading Spaces bucket %q: %w", name, err)
	}
	if !exists {
		return nil, nil
	}
	versioning, err := spaces.GetBucketVersioning(ctx, name)
	if err != nil {
		return nil, err
	}
	rules, err := spaces.GetBucketLifecycle(ctx, name)
	if minio.ToErrorResponse(err).Code == "NoSuchLifecycleConfiguration" {
		rules, err = lifecycle.NewConfiguration(), nil
	}
	if err != nil {
		return nil, err
	}
	blocks := []any{}
	for i, rule := range rules.Rules {
		read := object{
			"id": rule.ID, "enabled": rule.Status == "Enabled", "prefix": rule.RuleFilter.Prefix,
			"abort_incomplete_multipart_upload_days": float64(rule.AbortIncompleteMultipartUpload.DaysAfterInitiation),
			"expiration":                             []any{}, "noncurrent_version_expiration": []any{},
		}
		var known object
		if all := state.blocks("lifecycle_rule"); i < len(all) {
			known = all[i]
		}
		if e := rule.Expiration; e.Days != 0 || e.DeleteMarker {
			read["expiration"] = []any{quietFields(object{"days": float64(e.Days), "expired_object_delete_marker": bool(e.DeleteMarker)}, known.one("expiration"))}
		}
		if days := rule.NoncurrentVersionExpiration.NoncurrentDays; days != 0 {
			read["noncurrent_version_expiration"] = []any{object{"days": float64(days)}}
		}
		blocks = append(blocks, read)
	}
	region := state.text("region")
	for field, value := range map[string]any{
		"name": name, "urn": "do:space:" + name, "endpoint": region + ".digitaloceanspaces.com", "lifecycle_rule": blocks,
		"bucket_domain_name": name + "." + region + ".digitaloceanspaces.com",
		"versioning":         []any{object{"enabled": versioning.Enabled()}},
	} {
		state[field] = value
	}
	if state["cors_rule"] == nil {
		state["cors_rule"] = []any{}
	}
	return state, nil
}

// quietFields makes null of what says nothing and was null before.
func quietFields(after, before object) object {
	for name, value := range after {
		if before[name] == nil && isZero(value) {
			after[name] = nil
		}
	}
	return after
}

func removeBucket(ctx context.Context, c *clients, state object) error {
	spaces, err := c.spaces(state.text("region"))
	if err != nil {
		return fmt.Errorf("error deleting bucket: %w", err)
	}
	name := state.text("id")
	err = spaces.RemoveBucket(ctx, name)
	if minio.ToErrorResponse(err).Code == "BucketNotEmpty" && state.flag("force_destroy") {
		for object := range spaces.ListObjects(ctx, name, minio.ListObjectsOptions{Recursive: true}) {
			if object.Err != nil {
				return fmt.Errorf("error Spaces Bucket force_destroy error deleting: %w", object.Err)
			}
			if err := spaces.RemoveObject(ctx, name, object.Key, minio.RemoveObjectOptions{}); err != nil {
				return fmt.Errorf("error Spaces Bucket force_destroy error deleting: %w", err)
			}
		}
		err = spaces.RemoveBucket(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("error deleting Spaces Bucket %s: %w", name, err)
	}
	return nil
}

// spacesKeyResource cannot be imported, as the real one: the API tells a secret
// once.
func spacesKeyResource() *resource {
	return &resource{
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			key, _, err := c.api.SpacesKeys.Create(ctx, &godo.SpacesKeyCreateRequest{Name: planned.text("name"), Grants: grants(planned)})
			if err != nil {
				return nil, fmt.Errorf("error creating Spaces key: %w", err)
			}
			planned["id"], planned["access_key"], planned["secret_key"], planned["created_at"] = key.AccessKey, key.AccessKey, key.SecretKey, key.CreatedAt
			return planned, nil
		},
		read: func(ctx context.Context, c *clients, state object) (object, error) {
			key, _, err := c.api.SpacesKeys.Get(ctx, state.text("id"))
			if gone(err) {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("error reading Spaces key: %w", err)
			}
			read := make([]any, len(key.Grants))
			for i, grant := range key.Grants {
				read[i] = object{"bucket": grant.Bucket, "permission": string(grant.Permission)}
			}
			state["name"], state["access_key"], state["created_at"], state["grant"] = key.Name, key.AccessKey, key.CreatedAt, read
			return state, nil
		},
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			if _, _, err := c.api.SpacesKeys.Update(ctx, prior.text("id"), &godo.SpacesKeyUpdateRequest{Name: planned.text("name"), Grants: grants(planned)}); err != nil {
				return nil, fmt.Errorf("error updating Spaces key: %w", err)
			}
			return planned, nil
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, err := c.api.SpacesKeys.Delete(ctx, state.text("id")); err != nil && !hasStatus(err, http.StatusNotFound) {
				return fmt.Errorf("error deleting Spaces key: %w", err)
			}
			return nil
		},
	}
}

func grants(o object) []*godo.Grant {
	all := []*godo.Grant{}
	for _, grant := range o.blocks("grant") {
		all = append(all, &godo.Grant{Bucket: grant.text("bucket"), Permission: godo.SpacesKeyPermission(grant.text("permission"))})
	}
	return all
}
