// Package digitalocean carries the Terraform module of this folder, so that the
// berth command needs no file beside itself.
package digitalocean

import "embed"

// Files are the module's *.tf files.
//
//go:embed *.tf
var Files embed.FS
