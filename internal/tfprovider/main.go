// Command terraform-provider-digitalocean is the fake plugin. Terraform
// starts it; package mirror puts it where a test's Terraform looks.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"

	"berth/internal/tfprovider/plugin"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-digitalocean:", err)
		os.Exit(1)
	}
}

func run() error {
	server, err := plugin.NewServer()
	if err != nil {
		return err
	}
	return tf5server.Serve("registry.terraform.io/digitalocean/digitalocean", func() tfprotov5.ProviderServer { return server })
}
