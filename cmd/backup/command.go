package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"berth/internal/fault"
)

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func none(_ *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fault.Usage("unexpected argument %q", arguments[0])
	}
	return nil
}

// atMostOneID is cobra's check of arguments, as a usage error.
func atMostOneID(_ *cobra.Command, arguments []string) error {
	if len(arguments) > 1 {
		return fault.Usage("give one ID at most; without one, the newest backup is meant")
	}
	return nil
}

func first(arguments []string) string {
	if len(arguments) == 0 {
		return ""
	}
	return arguments[0]
}
