package main

import (
	"github.com/spf13/cobra"

	"varde/models/modelcard"
)

// schemaModelVerb prints the published schema of card.toml.
func schemaModelVerb() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of card.toml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := modelcard.Schema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
}
