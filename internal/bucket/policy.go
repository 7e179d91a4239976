package bucket

import (
	"context"
	"encoding/json"
	"fmt"
)

// LetWrite lets another access key write objects whose names begin with a prefix, and
// do nothing else: neither read, list and delete, nor write elsewhere. It sets the
// bucket's policy, which has no other statement then.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
func (b *Bucket) LetWrite(ctx context.Context, accessKey, prefix string) error {
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Allow", "Principal": map[string]any{"AWS": []string{accessKey}},
			// Parts of a large object are put by the same right.
			"Action":   []string{"s3:PutObject", "s3:AbortMultipartUpload"},
			"Resource": []string{"arn:aws:s3:::" + b.options.Name + "/" + b.key(prefix) + "*"},
		}},
	})
	if err != nil {
		return fmt.Errorf("write the bucket's policy: %w", err)
	}
	return b.retry(ctx, "set the policy of bucket "+b.options.Name, 0, func(ctx context.Context) error {
		return b.core.SetBucketPolicy(ctx, b.options.Name, string(policy))
	})
}
