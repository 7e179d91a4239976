// Command s3-gateway is the S3 server of berth-kube alone, without Kubernetes:
// small enough to be compiled for the tests of what speaks to a bucket.
package main

import (
	"fmt"
	"os"

	"berth/kube/s3gateway"
)

func main() {
	if err := s3gateway.NewCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "s3-gateway:", err)
		os.Exit(1)
	}
}
