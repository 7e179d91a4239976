package config

import (
	"bufio"
	"bytes"
	"strings"

	"berth/internal/fault"
)

// readS3cfg takes from .s3cfg, the configuration of s3cmd, what berth.yaml and
// .env leave open about the bucket.
func (c *Config) readS3cfg() error {
	source, err := readPrivate(c.Path(".s3cfg"))
	if err != nil || source == nil {
		return err
	}
	values, err := parseS3cfg(source)
	if err != nil {
		return err
	}
	bucket := &c.Existing.Bucket
	if bucket.Name != "" {
		fill(&bucket.Endpoint, endpoint(values))
	}
	fill(&bucket.Region, values["bucket_location"])
	for name, key := range map[string]string{BucketAccessKey: "access_key", BucketSecretKey: "secret_key"} {
		if c.DotEnv[name] == "" && values[key] != "" {
			c.DotEnv[name] = values[key]
		}
	}
	return nil
}

// S3cfg are the bucket's settings in a .s3cfg. Its keys are secret.
type S3cfg struct{ Endpoint, Region, AccessKey, SecretKey string }

// ParseS3cfg reads the source of a .s3cfg.
func ParseS3cfg(source []byte) (S3cfg, error) {
	values, err := parseS3cfg(source)
	if err != nil {
		return S3cfg{}, err
	}
	return S3cfg{endpoint(values), values["bucket_location"], values["access_key"], values["secret_key"]}, nil
}

// parseS3cfg reads the [default] section of s3cmd's INI. s3cmd expands nothing
// and knows no quotes; neither does this.
func parseS3cfg(source []byte) (map[string]string, error) {
	values := map[string]string{}
	section := "default"
	lines := bufio.NewScanner(bytes.NewReader(source))
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			if line[len(line)-1] != ']' {
				return nil, fault.Usage(".s3cfg: line %d: a section must end with ]", number)
			}
			section = strings.TrimSpace(line[1 : len(line)-1])
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				return nil, fault.Usage(".s3cfg: line %d: must be key = value", number)
			}
			if section == "default" {
				values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fault.Usage(".s3cfg: %w", err)
	}
	return values, nil
}

// endpoint is where the S3 API is. host_bucket, which puts the bucket's name
// before it, says the same where host_base is missing.
func endpoint(values map[string]string) string {
	host := values["host_base"]
	if host == "" {
		host = strings.TrimPrefix(values["host_bucket"], "%(bucket)s.")
	}
	if host != "" && strings.EqualFold(values["use_https"], "false") {
		return "http://" + host
	}
	return host
}
