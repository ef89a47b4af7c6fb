package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
	"varde/cmd/varde/statement"
)

// docsVerb prints documents about this installation: of its settings, its models
// and the tables that the code works by.
func docsVerb() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Print what this installation conforms to, and its models, from its settings"}
	for _, k := range statement.Documents() {
		c.AddCommand(docVerb(k))
	}
	return c
}

func docVerb(k statement.Document) *cobra.Command {
	var l settings.Loader
	var asJSON bool
	var out string
	c := &cobra.Command{
		Use: k.Name, Short: k.Short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.Load(); err != nil {
				return exitError{exitUsage, err}
			}
			entries, err := statement.Models(cmd.Context(), l.Settings)
			if err != nil {
				return err
			}
			b, err := statement.Render(k, l.Settings, entries, asJSON)
			if err != nil || out == "" {
				_, _ = cmd.OutOrStdout().Write(b)
				return err
			}
			if err := os.MkdirAll(out, 0o750); err != nil {
				return fmt.Errorf("make the folder of the documents; choose another with --out: %w", err)
			}
			file := filepath.Join(out, k.Name+map[bool]string{true: ".json", false: ".md"}[asJSON])
			if err := os.WriteFile(file, b, 0o640); err != nil {
				return fmt.Errorf("write the document; choose another folder with --out: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), file)
			return nil
		},
	}
	l.Bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print what the document is made from as JSON")
	c.Flags().StringVar(&out, "out", "", "folder to write the document into, in place of standard output")
	return c
}
