// Command berth takes a web application from source to staging and production
// on Kubernetes. Each command has a file of its own here, which holds its flags
// and wires the parts below internal; what it does is in those.
package main

import (
	"context"
	"os"

	"berth/internal/console"
)

func main() {
	streams := console.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(Run(context.Background(), os.Args[1:], streams, os.Environ()))
}
