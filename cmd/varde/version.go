package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
)

func versionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "varde %s %s %s/%s\n", settings.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
