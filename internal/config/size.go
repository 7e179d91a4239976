package config

import (
	"regexp"
	"strconv"

	"berth/internal/fault"
)

// Size is the capacity of one node.
type Size struct {
	CPUs int
	// Memory in bytes.
	Memory int64
}

// The form is that of DigitalOcean's Droplet size slugs, whose "gb" are 2^30
// bytes.
var size = regexp.MustCompile(`^s-([1-9][0-9]{0,2})vcpu-([1-9][0-9]{0,3})gb$`)

// ParseSize reads a size like "s-2vcpu-4gb".
func ParseSize(text string) (Size, error) {
	match := size.FindStringSubmatch(text)
	if match == nil {
		return Size{}, fault.Usage("must be a size like s-2vcpu-4gb; it is %q", text)
	}
	// The expression lets through nothing that these could refuse.
	cpus, _ := strconv.Atoi(match[1])
	gigabytes, _ := strconv.ParseInt(match[2], 10, 64)
	return Size{CPUs: cpus, Memory: gigabytes << 30}, nil
}

// CheckSize returns an error for what [ParseSize] does not take.
func CheckSize(size string) error {
	_, err := ParseSize(size)
	return err
}
