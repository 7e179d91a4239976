// Command berth takes a web application from source to staging and production
// on Kubernetes. Each command has a file of its own here, which holds its flags
// and wires the parts below internal; what it does is in those.
package main

import (
	"context"
	"fmt"
	"os"

	"berth/internal/console"
	"berth/internal/program"
)

func main() {
	// What berth starts is found for an ordinary user, too, and under sudo.
	if err := os.Setenv("PATH", program.Path(os.Environ())); err != nil {
		fmt.Fprintln(os.Stderr, "berth: complete the PATH:", err)
		os.Exit(failed)
	}
	streams := console.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(Run(context.Background(), os.Args[1:], streams, os.Environ()))
}
